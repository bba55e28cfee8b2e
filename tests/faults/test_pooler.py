"""A real PgBouncer between worker and server, in transaction mode: notifications do not come through."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from tests.faults import debian
from tests.faults.program import Program, running
from tests.faults.server import DATABASE, WORKER, Server
from tests.faults.verdict import all_is_well
from tests.faults.waiting import until
from tests.faults.writing import writing

_CONFIGURATION = """
[databases]
* = host={sockets} port=5432
[pgbouncer]
pool_mode = {mode}
unix_socket_dir = {directory}
listen_port = 6432
auth_type = any
auth_file = {directory}/users
logfile = {directory}/log
pidfile =
"""


@contextmanager
def pooler(server: Server, mode: str) -> Iterator[str]:
    """A pooler in front of the server; gives the DSN of the worker."""
    # Started as whoever runs the server: like it, it refuses to run as root.
    directory = server.home / "pooler"
    directory.mkdir(mode=0o755)
    (directory / "users").write_text('"postgres" ""\n')
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        _CONFIGURATION.format(sockets=server.sockets, directory=directory, mode=mode).replace(
            "* = host", f"{DATABASE} = user={WORKER} host"
        )
    )
    server.account.take(directory)
    program = _reachable(server)
    process = subprocess.Popen(
        [program, configuration],
        cwd="/",
        env=debian.environment() | {"LD_LIBRARY_PATH": str(program.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **server.account.identity(),
    )
    dsn = make_conninfo(host=str(directory), port=6432, user="postgres", dbname=DATABASE)

    def answers() -> bool:
        assert process.poll() is None, (directory / "log").read_text()
        try:
            psycopg.connect(dsn).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        until(answers, "the pooler answers")
        yield dsn
    finally:
        process.terminate()
        process.wait()


def _reachable(server: Server) -> Path:
    """A copy of the program, with the libraries beside it, where the server's account can execute it."""
    place = server.home / "pgbouncer"
    place.mkdir(mode=0o755)
    for path in (debian.root() / "usr/sbin/pgbouncer", *debian.root().glob("usr/lib/*/*.so*")):
        copy = place / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o755)
    return place / "pgbouncer"


def test_it_says_so_and_polls(server: Server) -> None:
    with pooler(server, "transaction") as dsn, running(dsn, ready="polling") as program:
        assert "pooler" in program.of("polling")[0].values["reason"]
        with writing(server) as writers:
            program.until("batch")
            all_is_well(server, writers, program)
        # Nothing of a session is left in the pool for others.
        assert server.ask("select count(*) from pg_locks where locktype = 'advisory'") == 0
        with psycopg.connect(dsn) as another:
            assert another.execute("select pg_listening_channels()").fetchall() == []


def test_it_refuses_when_listening_is_required(server: Server) -> None:
    with pooler(server, "transaction") as dsn:
        program = Program(dsn, "--require-listen")
        assert program.wait() == 1
        assert "pooler" in program.log


def test_it_listens_through_a_pooler_in_session_mode(server: Server) -> None:
    with pooler(server, "session") as dsn, running(dsn, "--require-listen") as program, writing(server) as writers:
        program.until("batch")
        all_is_well(server, writers, program)

"""Run PgBouncer in front of a server."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from tests.faults.server import DATABASE, WORKER, Server
from tests.support import debian_packages
from tests.support.waiting import until

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
    """Run a pooler in front of the server until the context ends, and yield the DSN for the worker.

    Raises:
        pytest.skip.Exception: PgBouncer cannot be downloaded.
    """
    debian_packages.root()
    # PgBouncer refuses to run as root, so it runs as the OS user of the server.
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
    program = _reachable(directory)
    process = subprocess.Popen(
        [program, configuration],
        cwd="/",
        env=debian_packages.environment() | {"LD_LIBRARY_PATH": str(program.parent)},
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
        shutil.rmtree(directory)


def _reachable(directory: Path) -> Path:
    """Copy the program and its libraries to where the OS user of the server can execute it. Return its path."""
    place = directory / "program"
    place.mkdir(mode=0o755)
    for path in (debian_packages.root() / "usr/sbin/pgbouncer", *debian_packages.root().glob("usr/lib/*/*.so*")):
        copy = place / path.name
        copy.write_bytes(path.read_bytes())
        copy.chmod(0o755)
    return place / "pgbouncer"

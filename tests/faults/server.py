"""A PostgreSQL server of a single test, which the test can stop, kill, freeze, fill and start again."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.conninfo import make_conninfo

from gaq_listen.private_postgres import cluster, supervisor
from gaq_listen.private_postgres.os_user import OsUser
from tests.support.waiting import until

SMART, FAST, IMMEDIATE = signal.SIGTERM, signal.SIGINT, signal.SIGQUIT
"""The signals for PostgreSQL's three ways to stop."""

DATABASE = "bookkeeping"
WORKER = "gaq_listen"
"""The role of the worker. It has the rights of gaq_worker and no others."""

# An acknowledged commit survives a crash of the server's processes. The tests do not crash the machine.
_SETTINGS = {"synchronous_commit": "on", "full_page_writes": "on", "max_wal_senders": "4", "wal_level": "replica"}

Launcher = Callable[[list[str]], list[str]]


class Server:
    """A cluster in a directory of its own, whose server listens on a Unix socket."""

    def __init__(self, home: Path, binaries: Path, version: int, account: OsUser) -> None:
        self.home = home
        self.version = version
        self.binaries = binaries
        self.account = account
        self.data = home / "data"
        self.sockets = home / cluster.SOCKETS
        self.socket = self.sockets / f".s.PGSQL.{cluster.PORT}"
        self.log = home / "log"
        self.settings: dict[str, str] = dict(_SETTINGS)
        self.launcher: Launcher = lambda command: command
        """Wraps the command that runs the server, for example to give it another clock."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the postmaster."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def start(self, wait: bool = True) -> None:
        """Start the server. With ``wait``, return when it accepts connections."""
        assert self._process is None
        command = cluster.postgres_command(self.binaries, self.data, self.sockets, self.settings)
        self._process = supervisor.start(self.launcher(command), self.account, self.log, signal.SIGQUIT)
        if wait:
            self.wait_until_ready()

    def start_held_up(self) -> Callable[[], None]:
        """Start the server in a recovery that waits for its archive. The returned function ends the recovery."""
        gate = self.sockets / "go"
        gate.unlink(missing_ok=True)
        (self.data / "recovery.signal").touch()
        self.account.take(self.data)
        usual = self.settings
        waiting = f"while [ ! -e {gate} ]; do sleep 0.02; done; false"
        # With hot_standby, the server would accept readers before the end of the recovery.
        self.settings = {**usual, "hot_standby": "off", "restore_command": waiting}
        self.start(wait=False)
        self.settings = usual

        def go() -> None:
            gate.touch()
            self.wait_until_ready()

        return go

    def wait_until_ready(self) -> None:
        """Wait until the server accepts connections."""

        def ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, cluster.last_lines(self.log)
            return cluster.is_ready(self.data)

        until(ready, "the server is ready")

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the postmaster."""
        os.kill(self.pid, number)

    def stop(self, how: signal.Signals = FAST) -> None:
        """Stop the server and wait until it has ended. If it does not run, do nothing."""
        if self._process is None:
            return
        with suppress(FileNotFoundError, ProcessLookupError):
            self.send(how)
        self.wait_until_gone()

    def kill(self) -> None:
        """Kill all processes of the server at once, as a crash of the machine would. The data stays."""
        assert self._process is not None
        processes = [self.pid, *self.children()]
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait_until_gone()
        until(lambda: not self.any_lives(processes), "the server's processes are gone")

    def wait_until_gone(self) -> None:
        """Wait until the postmaster has ended."""
        assert self._process is not None
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            supervisor.stop(self._process, signal.SIGQUIT)
        self._process = None

    def restart(self, how: signal.Signals = FAST) -> None:
        """Stop the server and start it again."""
        self.stop(how)
        self.start()

    def children(self) -> list[int]:
        """Return the process ids of the children of the postmaster."""
        tasks = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in tasks.split()]

    @staticmethod
    def any_lives(processes: list[int]) -> bool:
        """Return whether one of these processes has not ended."""
        return any(_lives(pid) for pid in processes)

    def dsn(self, **options: Any) -> str:
        """Return a DSN through the socket. By default, it connects as the superuser to DATABASE."""
        where: dict[str, Any] = {
            "host": str(self.sockets),
            "port": cluster.PORT,
            "user": "postgres",
            "dbname": DATABASE,
        }
        return make_conninfo(**(where | options))

    def connect(self, **options: Any) -> Connection[Any]:
        """Connect in autocommit mode. By default, connect as the superuser to DATABASE."""
        return psycopg.connect(self.dsn(**options), autocommit=True)

    def ask(self, query: str, *values: object, **options: Any) -> Any:
        """Execute a query on a new connection. Return the first value of the first row, or None without a row."""
        with self.connect(**options) as connection:
            cursor = connection.execute(query.encode(), values or None)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None

    def until_asleep(self) -> None:
        """Wait until a worker has drained everything and sleeps at the doorbell."""
        until(lambda: self.ask("select somebody_listens from gaq.status"), "a worker sleeps")

    def backends(self, name: str = "gaq-listen %") -> list[int]:
        """Return the process ids of the backends whose ``application_name`` is like ``name``, a pattern of LIKE."""
        query = "select pid from pg_stat_activity where application_name like %s and pid <> pg_backend_pid()"
        with self.connect() as connection:
            return [pid for (pid,) in connection.execute(query, (name,)).fetchall()]

    def authenticate(self, *rules: str) -> None:
        """Put these rules before the usual ones in pg_hba.conf."""
        path = self.data / "pg_hba.conf"
        path.write_text("\n".join((*rules, "local all all trust", "local replication all trust", "")))
        self.send(signal.SIGHUP)

    def copy(self, home: Path) -> "Server":
        """Return the server of a copy of this cluster in ``home``. This server must be stopped."""
        assert self._process is None
        other = Server(home, self.binaries, self.version, self.account)
        cluster.make_private(other.sockets, self.account)
        shutil.copytree(self.data, other.data, symlinks=True)
        other.data.chmod(0o700)
        self.account.take(other.data)
        return other


def freeze(*pids: int) -> None:
    """Freeze processes (SIGSTOP), and wait until they are frozen."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: all(_state(pid) == "T" for pid in pids), "the processes are frozen")


def thaw(*pids: int) -> None:
    """Let frozen processes go on, if they still exist."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "gone"


def _lives(pid: int) -> bool:
    return _state(pid) not in ("gone", "Z")

"""A PostgreSQL server of one's own, for as long as a ``with`` block."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from psycopg.conninfo import make_conninfo

from gaq_listen.errors import PrivateServerError
from gaq_listen.private_postgres.binaries import find_binaries
from gaq_listen.private_postgres.cluster import PORT, remove_directory


class PrivatePostgres:
    """A throw-away server, reachable only by this user of this machine, through a socket.

    It is ready about a second after entering the block and leaves nothing behind, however this
    process ends: a supervisor process stops it and removes its directories. For root it runs as the
    user ``postgres`` or ``nobody``. Any number can run at once.

    ``settings`` are PostgreSQL's own, by name::

        with PrivatePostgres(settings={"max_connections": "20"}) as server:
            connection = psycopg.connect(server.dsn())

    Raises:
        PrivateServerError: on entering, when no server programs are found, or when the server does
            not start; then with the last lines of its log.
    """

    user = "postgres"
    port = PORT
    host: str
    """The directory of the socket."""
    version: int
    """Major version of the server."""
    pid: int
    """Process id of the server (the postmaster)."""
    directory: Path
    """Where its log is; gone after the block, like its data."""

    def __init__(self, *, settings: Mapping[str, str] | None = None, storage: Path | None = None) -> None:
        """Note the settings; the server starts when the block is entered.

        ``storage``: a directory in which to make that of the data; None: in memory, where there is room for it.
        """
        self._settings = dict(settings or {})
        self._storage = storage
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._directories: list[Path] = []
        self._ending = "the private PostgreSQL is not running"

    def __enter__(self) -> Self:
        """Start the server and wait until it accepts connections."""
        binaries = find_binaries()
        job = {
            "directory": str(binaries.directory),
            "package": binaries.package and str(binaries.package),
            "settings": self._settings,
            "storage": self._storage and str(self._storage),
        }
        self._supervisor = subprocess.Popen(
            [sys.executable, "-P", "-m", "gaq_listen.private_postgres.supervisor", json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            facts = self._hear(self._supervisor)
            if "error" in facts:
                raise PrivateServerError(facts["error"])
        except BaseException:
            self.stop()
            raise
        self.directory = Path(facts["directory"])
        self.host = facts["host"]
        self.version = facts["version"]
        self.pid = facts["pid"]
        self._directories = [self.directory, Path(facts["storage"])]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server and remove its directories."""
        self.stop()

    def dsn(self, dbname: str = "postgres") -> str:
        """The libpq connection string of one of its databases."""
        return make_conninfo(host=self.host, port=self.port, user=self.user, dbname=dbname)

    def poll(self) -> str | None:
        """None while the server runs, otherwise a sentence that tells how it ended."""
        if self._supervisor:
            if self._supervisor.poll() is None:
                return None
            self._ending = self._hear(self._supervisor)["error"]
            self.stop()
        return self._ending

    def stop(self) -> None:
        """Stop the server now and wait until nothing of it is left; again does nothing."""
        if self._supervisor is None:
            return
        # Closes its standard input, which is what tells it to stop, and waits for its end.
        self._supervisor.communicate()
        self._supervisor = None
        for directory in self._directories:  # still there if somebody killed the supervisor
            remove_directory(directory)

    @staticmethod
    def _hear(supervisor: subprocess.Popen[bytes]) -> dict[str, Any]:
        line = supervisor.stdout.readline() if supervisor.stdout else b""
        if not line:
            code = supervisor.wait()
            return {"error": f"the supervisor of the private PostgreSQL ended (exit code {code})"}
        facts: dict[str, Any] = json.loads(line)
        return facts

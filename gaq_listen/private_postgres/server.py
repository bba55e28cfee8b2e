"""Run a private, temporary PostgreSQL server for as long as a ``with`` block."""

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
    """A temporary server that only this user of this machine can reach, through a socket.

    The server accepts connections about a second after the program enters the block. A supervisor process stops the
    server and removes its directories, however this process ends. If this process runs as root, the server runs as the
    user ``postgres`` or ``nobody``. Any number of servers can run at once::

        with PrivatePostgres(settings={"max_connections": "20"}) as server:
            connection = psycopg.connect(server.dsn())

    Raises:
        PrivateServerError: On entering: this machine has no server programs, or the server does not start. The message
            then ends with the last lines of the server's log.
    """

    user = "postgres"
    port = PORT
    host: str
    """Directory of the socket."""
    version: int
    """Major version of the server."""
    pid: int
    """Process id of the server (the postmaster)."""
    directory: Path
    """Directory of the server's log. The supervisor removes it at the end of the block, like the data."""

    def __init__(self, *, settings: Mapping[str, str] | None = None, storage: Path | None = None) -> None:
        """Store what the server should run with. The server starts when the program enters the block.

        Args:
            settings: Settings of PostgreSQL, by name.
            storage: Existing directory in which the supervisor creates the data directory. None: shared memory, or the
                temporary directory if shared memory has no room.
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
            facts = self._read_report(self._supervisor)
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
        """Return the libpq connection string of a database of the server."""
        return make_conninfo(host=self.host, port=self.port, user=self.user, dbname=dbname)

    def poll(self) -> str | None:
        """Return None while the server runs, else a sentence that says how it ended."""
        if self._supervisor:
            if self._supervisor.poll() is None:
                return None
            self._ending = self._read_report(self._supervisor)["error"]
            self.stop()
        return self._ending

    def stop(self) -> None:
        """Stop the server and wait until its processes and directories are gone. A second call does nothing."""
        if self._supervisor is None:
            return
        # This closes the supervisor's standard input, which makes it stop, and waits until it has ended.
        self._supervisor.communicate()
        self._supervisor = None
        for directory in self._directories:  # they still exist if the supervisor was killed
            remove_directory(directory)

    @staticmethod
    def _read_report(supervisor: subprocess.Popen[bytes]) -> dict[str, Any]:
        """Wait for the next line of JSON that the supervisor writes."""
        line = supervisor.stdout.readline() if supervisor.stdout else b""
        if not line:
            code = supervisor.wait()
            return {"error": f"the supervisor of the private PostgreSQL ended (exit code {code})"}
        facts: dict[str, Any] = json.loads(line)
        return facts

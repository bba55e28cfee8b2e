"""Give a server a file system that is small enough to be filled. This needs no root."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from tests.faults.server import Server


class SmallDisk:
    """A file system of one megabyte at ``place``. A server started by ``launcher`` sees it, empty at each start.

    Raises:
        pytest.skip.Exception: this machine does not allow such a mount.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.place = server.home / "small"
        self.place.mkdir(mode=0o777)
        self.place.chmod(0o777)
        # A user name space gives the right to mount. The server runs in a second one inside, where it is not root.
        mount = (
            "uid=$1 gid=$2; shift 2; "
            f"mount -t tmpfs -o size=1m,mode=0777 tmpfs {self.place} && "
            'exec unshare --user --map-user=$uid --map-group=$gid -- "$@"'
        )
        self._script = f"exec unshare --user --map-root-user --mount -- sh -c '{mount}' sh $(id -u) $(id -g) \"$@\""
        if shutil.which("unshare") is None:
            pytest.skip("NOT TESTED: a small file system takes the program unshare")
        trial = subprocess.run(
            self.launcher(["true"]), check=False, capture_output=True, text=True, cwd="/", **server.account.identity()
        )
        if trial.returncode:
            pytest.skip(f"NOT TESTED: a small file system cannot be mounted here: {trial.stderr.strip()}")

    def launcher(self, command: list[str]) -> list[str]:
        """Return the command that runs a server which sees the file system."""
        return ["sh", "-c", self._script, "sh", *command]

    @contextmanager
    def full(self) -> Iterator[None]:
        """Move the summaries onto the file system and fill it, until the context ends. The server must not stop."""
        server = self._server
        server.ask(f"create tablespace small location '{self.place}'")
        server.ask("alter table gaq.summaries set tablespace small")
        filler = f"{self.place}/filler"
        with suppress(psycopg.errors.DiskFull):
            server.ask(f"copy (select repeat('x', 1000) from generate_series(1, 10000)) to '{filler}'")
            raise AssertionError("ten megabytes went into one")
        try:
            with server.connect() as historian:
                # The snapshot keeps old rows, so PostgreSQL cannot reuse their space for new ones.
                historian.execute("begin isolation level repeatable read; select 1")
                yield
        finally:
            server.ask(f"copy (select) to program 'rm {filler}'")
        server.ask("alter table gaq.summaries set tablespace pg_default")
        server.ask("drop tablespace small")
        # A server that starts again finds the file system empty, so recovery must not need the tablespace.
        server.ask("checkpoint")

"""A file system of a server's own that is small enough to be filled; nobody need be root for that."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from tests.faults.server import Server


class SmallDisk:
    """One megabyte, which a server that is started by ``launcher`` sees in ``place``; empty after every start.

    Raises:
        pytest.skip.Exception: nobody may mount one here.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self.place = server.home / "small"
        self.place.mkdir(mode=0o777)
        self.place.chmod(0o777)
        # A name space of users, for the right to mount; in it another one, where the server is not root but itself.
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
        """The command that runs a server which sees it."""
        return ["sh", "-c", self._script, "sh", *command]

    @contextmanager
    def full(self) -> Iterator[None]:
        """The summaries lie on it, and it is full, as long as the context lasts; the server must run all the while."""
        server = self._server
        server.ask(f"create tablespace small location '{self.place}'")
        server.ask("alter table gaq.summaries set tablespace small")
        filler = f"{self.place}/filler"
        with suppress(psycopg.errors.DiskFull):
            server.ask(f"copy (select repeat('x', 1000) from generate_series(1, 10000)) to '{filler}'")
            raise AssertionError("ten megabytes went into one")
        try:
            with server.connect() as historian:
                # As long as somebody may still look at old rows, new ones need new space.
                historian.execute("begin isolation level repeatable read; select 1")
                yield
        finally:
            server.ask(f"copy (select) to program 'rm {filler}'")
        server.ask("alter table gaq.summaries set tablespace pg_default")
        server.ask("drop tablespace small")
        # What is started again after a crash finds it empty.
        server.ask("checkpoint")

"""Memory that is taken from a backend."""

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.server import Server

MUCH = """
update gaq_summaries set invalidated_at = now();
insert into gaq.invalidations select 1, 501, clock_timestamp(), 'x' from generate_series(1, 20000)
"""
"""A refresh of this takes more memory than one of a few pairs."""


@contextmanager
def no_more_memory(server: Server, backend: int) -> Iterator[None]:
    """It has what it has, and gets no more as long as the context lasts."""
    size = int(Path(f"/proc/{backend}/statm").read_text().split()[0]) * resource.getpagesize()
    _limit(server, backend, f"{size}:")
    try:
        yield
    finally:
        _limit(server, backend, "unlimited:")


def _limit(server: Server, pid: int, limit: str) -> None:
    # By whoever runs the server: root itself may not be allowed to.
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("NOT TESTED: to take memory from a backend takes the program prlimit")
    subprocess.run([prlimit, f"--pid={pid}", f"--as={limit}"], check=False, **server.account.identity())

"""Limit the memory of a backend."""

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
"""Marks whose refresh takes more memory than a refresh of a few pairs."""


@contextmanager
def no_more_memory(server: Server, backend: int) -> Iterator[None]:
    """Refuse the backend more memory than it has now, until the context ends."""
    size = int(Path(f"/proc/{backend}/statm").read_text().split()[0]) * resource.getpagesize()
    _limit(server, backend, f"{size}:")
    try:
        yield
    finally:
        _limit(server, backend, "unlimited:")


def _limit(server: Server, pid: int, limit: str) -> None:
    # The OS user of the server may do this, and root in a container may not.
    prlimit = shutil.which("prlimit")
    if prlimit is None:
        pytest.skip("NOT TESTED: limiting the memory of a backend needs the program prlimit")
    subprocess.run([prlimit, f"--pid={pid}", f"--as={limit}"], check=False, **server.account.identity())

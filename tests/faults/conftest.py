"""Servers of a test's own: copies of one that is made once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeAlias

import pytest

from tests.faults.seeded_cluster import copy_of, seed_server
from tests.faults.server import Server

NewServer: TypeAlias = Callable[[], Server]


@pytest.fixture(scope="session")
def seed() -> Iterator[Server]:
    """A cluster that is stopped: what others are copies of."""
    with ExitStack() as stack:
        yield seed_server(stack)


@pytest.fixture
def new_server(seed: Server) -> Iterator[NewServer]:
    """Makes copies of the seed, not started yet; each is stopped and removed after the test."""
    with ExitStack() as stack:
        yield lambda: copy_of(seed, stack)


@pytest.fixture
def server(new_server: NewServer) -> Server:
    """A server of the test's own, which runs."""
    server = new_server()
    server.start()
    return server

"""Give each test servers of its own: copies of one cluster that is made once."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TypeAlias

import pytest

from tests.faults.seeded_cluster import copy_of, seed_server
from tests.faults.server import Server

NewServer: TypeAlias = Callable[[], Server]


@pytest.fixture(scope="session")
def seed() -> Iterator[Server]:
    """Make the stopped cluster whose copies the tests use."""
    with ExitStack() as stack:
        yield seed_server(stack)


@pytest.fixture
def new_server(seed: Server) -> Iterator[NewServer]:
    """Return a function that copies the seed and does not start the copy. The fixture removes all copies."""
    with ExitStack() as stack:
        yield lambda: copy_of(seed, stack)


@pytest.fixture
def server(new_server: NewServer) -> Server:
    """Start a server of the test's own."""
    server = new_server()
    server.start()
    return server

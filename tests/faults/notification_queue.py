"""Fill the queue of notifications of a server."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.faults.server import Server

USAGE = "select pg_notification_queue_usage()"
_FILL = "select pg_notify('nothing', repeat('x', 7000) || n) from generate_series(1, %s) n"


def settings(version: int) -> dict[str, str]:
    """Return settings that make the queue small, if this major version of PostgreSQL has them."""
    return {"max_notify_queue_pages": "64"} if version >= 17 else {}


@contextmanager
def filled(server: Server, least: float) -> Iterator[None]:
    """Fill at least the fraction ``least`` of the queue until the context ends, by a listener that does not read.

    Raises:
        pytest.skip.Exception: the queue of this version of PostgreSQL is too large to fill.
    """
    if server.version < 17:
        pytest.skip("NOT TESTED: before PostgreSQL 17 the queue cannot be made small, and holds 8 GB")
    with server.connect() as listener, server.connect() as sender:
        listener.execute("listen nothing")
        listener.execute("begin")
        listener.execute("select 1")
        step = 20
        while server.ask(USAGE) < least and step:
            try:
                sender.execute(_FILL, (step,))
            except psycopg.errors.ProgramLimitExceeded:
                step //= 2
        assert server.ask(USAGE) >= 0.5
        yield
        listener.execute("rollback")

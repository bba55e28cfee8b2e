"""The server's queue of notifications, which somebody fills."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.faults.server import Server

USAGE = "select pg_notification_queue_usage()"
_FILL = "select pg_notify('nothing', repeat('x', 7000) || n) from generate_series(1, %s) n"


def settings(version: int) -> dict[str, str]:
    """Of a server of this version, whose queue can be filled if any can."""
    return {"max_notify_queue_pages": "64"} if version >= 17 else {}


@contextmanager
def filled(server: Server, least: float) -> Iterator[None]:
    """As long as the context lasts, at least so much of the queue is taken: somebody listens, and does not read.

    Raises:
        pytest.skip.Exception: the queue of this version is too large for that.
    """
    if server.version < 17:
        pytest.skip("NOT TESTED: before PostgreSQL 17 the queue cannot be made small, and holds 8 GB")
    with server.connect() as deaf, server.connect() as loud:
        deaf.execute("listen nothing")
        deaf.execute("begin")
        deaf.execute("select 1")
        step = 20
        while server.ask(USAGE) < least and step:
            try:
                loud.execute(_FILL, (step,))
            except psycopg.errors.ProgramLimitExceeded:
                step //= 2
        assert server.ask(USAGE) >= 0.5
        yield
        deaf.execute("rollback")

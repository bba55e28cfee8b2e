"""Connect to the server, and abort the connection when the server does not respond in time."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

import psycopg
from psycopg import AsyncClientCursor, AsyncConnection
from psycopg.abc import Params
from psycopg.rows import Row, TupleRow

RESPONSE_TIMEOUT = 10.0
"""Seconds that a small query may take by default, before its connection is aborted."""


class AbortableConnection(AsyncConnection[TupleRow]):
    """Connect to the server. Queries run within ``deadline``, which aborts the connection when they take too long."""

    response_timeout = RESPONSE_TIMEOUT
    """Seconds within which the server answers a small query."""
    alive: Callable[[], None] = staticmethod(lambda: None)
    """A function that ``deadline`` calls after each answer of the server."""

    @asynccontextmanager
    async def deadline(self, seconds: float | None = None) -> AsyncIterator[Self]:
        """Abort the connection if the context takes longer than ``seconds``. None: ``response_timeout``.

        Raises:
            TimeoutError: the connection was aborted, and cannot be used any more.
        """
        limit = self.response_timeout if seconds is None else seconds
        late = False

        def abort() -> None:
            nonlocal late
            late = True
            self.abort()

        timer = asyncio.get_running_loop().call_later(limit, abort)
        try:
            yield self
        except psycopg.Error as error:
            if late:
                raise TimeoutError(f"the server has not answered for {limit:g} s") from error
            raise
        else:
            self.alive()
        finally:
            timer.cancel()

    def abort(self) -> None:
        """Abort the connection, so that a query that waits for an answer fails at once.

        To cancel the query instead could take forever, because psycopg waits until the server has ended the query.
        """
        # A duplicate of the socket's descriptor, because the connection closes the original.
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


async def fetch_with_locks(cursor: AsyncClientCursor[Row], query: str, values: Params | None = None) -> list[Row]:
    """Return the rows of a query that reads source tables. The query never waits for a lock on one of them.

    So no migration of source tables ends in a deadlock with the query.

    Raises:
        psycopg.errors.LockNotAvailable: another session has, or wants, a lock on a source table that excludes readers.
    """
    # One message is one transaction.
    await cursor.execute(b"select gaq.lock_sources();" + query.encode(), values)
    cursor.nextset()
    return await cursor.fetchall()

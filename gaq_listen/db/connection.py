"""A connection that is aborted when the server does not respond in time."""

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
"""Seconds that a small query may take by default before the connection counts as dead."""


class AbortableConnection(AsyncConnection[TupleRow]):
    """A connection to the server. ``round_trip``: seconds within which the server answers a small query."""

    response_timeout = RESPONSE_TIMEOUT
    alive: Callable[[], None] = staticmethod(lambda: None)
    """Called after each answer of the server."""

    @asynccontextmanager
    async def deadline(self, seconds: float | None = None) -> AsyncIterator[Self]:
        """Abort the connection if the queries within the context take longer than ``seconds``. None: ``round_trip``.

        Raises:
            TimeoutError: the connection was aborted, and cannot be used any more.
        """
        limit = self.response_timeout if seconds is None else seconds
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            self.abort()

        timer = asyncio.get_running_loop().call_later(limit, give_up)
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
        """Abort the connection: a query that waits for an answer fails at once.

        Cancelling the query instead could wait forever: psycopg asks the server to end the query, and waits for that.
        """
        # Another descriptor of the same socket: the connection goes on owning its own.
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)


async def fetch_with_locks(cursor: AsyncClientCursor[Row], query: str, values: Params | None = None) -> list[Row]:
    """Return the rows of a query that reads source tables. It never waits for one, so no migration dies of a deadlock.

    Raises:
        LockNotAvailable: another session has, or wants, a lock on a source table that excludes readers.
    """
    # One message, so one transaction.
    await cursor.execute(b"select gaq.lock_sources();" + query.encode(), values)
    cursor.nextset()
    return await cursor.fetchall()

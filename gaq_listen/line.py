"""A connection that does not wait for ever: who does not answer in time is cut off."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

ROUND_TRIP = 10.0
"""Seconds that a small question may take before the connection counts as dead, unless told otherwise."""


class Line(AsyncConnection[TupleRow]):
    """A connection to the server. ``round_trip``: seconds within which it answers a small question."""

    round_trip = ROUND_TRIP
    alive: Callable[[], None] = staticmethod(lambda: None)
    """Called after each answer."""

    @asynccontextmanager
    async def answering(self, seconds: float | None = None) -> AsyncIterator[Self]:
        """What is asked within the context is answered within so many seconds, or ``round_trip``.

        Raises:
            TimeoutError: it is not. The connection is of no use any more.
        """
        limit = self.round_trip if seconds is None else seconds
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            self.cut()

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

    def cut(self) -> None:
        """Whoever waits for an answer is told that there will be none.

        Not by cancelling: psycopg then asks the server to end the query and waits for that, which may never be.
        """
        # Another descriptor of the same socket: the connection goes on owning its own.
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(self.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)

"""Is the server still at it? Asked about work that takes long, through the other connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from gaq_listen.line import Line

Result = TypeVar("Result")

IDLE = "idle"
_STATE = "select state, state_change from pg_stat_activity where pid = %s"

State: TypeAlias = tuple[object, ...] | None
Look: TypeAlias = Callable[[], Awaitable[State]]


async def attended(work: Awaitable[Result], line: Line, look: Look) -> Result:
    """What ``work`` returns, which is done on ``line``; cut off when the server is not at it any more.

    A batch may take long, so its own limit is a wide one. A network that swallows everything, or a backend that stands
    still, shows earlier: ``look`` fails, or tells twice that the backend has nothing to do, since the same moment.

    Raises:
        TimeoutError, psycopg.OperationalError: the connection is of no use any more.
    """
    task = asyncio.ensure_future(work)
    before: State = None
    try:
        while not (await asyncio.wait({task}, timeout=line.round_trip))[0]:
            now = await look()
            if now is None or (_is_idle(now) and now == before):
                line.cut()
                await asyncio.wait({task})
                raise TimeoutError(f"the server has not answered for {2 * line.round_trip:g} s, nor is it at work")
            before = now
        return task.result()
    finally:
        if not task.done():
            line.cut()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen


def _is_idle(state: tuple[object, ...]) -> bool:
    """Return whether the backend waits for a query. A server with track_activities off tells nothing."""
    return str(state[0]).startswith(IDLE)


async def backend_of(line: Line) -> int:
    """Return the pid of the backend that serves a connection: behind a pooler, what libpq knows is the pooler's."""
    async with line.answering():
        (row,) = await (await line.execute("select pg_backend_pid()")).fetchall()
    return int(row[0])


def state_of(pid: int, asked: Line) -> Look:
    """Asks one connection what the server says of the backend of another: its state, and since when."""

    async def look() -> State:
        async with asked.answering():
            return await (await asked.execute(_STATE, (pid,))).fetchone()

    return look

"""Is the server still at it? Asked about work that takes long, through the other connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from gaq_listen.line import Line

Result = TypeVar("Result")

BUSY = "active"
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
    before: State = (BUSY,)
    try:
        while not (await asyncio.wait({task}, timeout=line.round_trip))[0]:
            now = await look()
            if now is None or (now[0] != BUSY and now == before):
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


def state_of(backend: Line, asked: Line) -> Look:
    """Asks one connection what the server says of the backend of another: its state, and since when."""
    pid = backend.info.backend_pid

    async def look() -> State:
        async with asked.answering():
            return await (await asked.execute(_STATE, (pid,))).fetchone()

    return look

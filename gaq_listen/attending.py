"""Watch the backend of a long batch through another connection."""

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
    """Await ``work``, which uses ``line``. Abort ``line`` if its backend is gone, or was idle at two checks in a row.

    A batch may take long, so its own limit is wide. A network that loses everything, or a backend that is frozen, shows
    earlier: ``look`` fails, or reports twice that the backend has been idle since the same moment.

    Raises:
        TimeoutError, psycopg.OperationalError: ``line`` cannot be used any more.
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
    """Return whether the backend waits for a query. False if the server reports nothing (track_activities = off)."""
    return str(state[0]).startswith(IDLE)


async def backend_of(line: Line) -> int:
    """Return the pid of the backend that serves a connection: behind a pooler, what libpq knows is the pooler's."""
    async with line.answering():
        (row,) = await (await line.execute("select pg_backend_pid()")).fetchall()
    return int(row[0])


def state_of(pid: int, asked: Line) -> Look:
    """Return a function that asks, through ``asked``, for the state of a backend and since when it has that state."""

    async def look() -> State:
        async with asked.answering():
            return await (await asked.execute(_STATE, (pid,))).fetchone()

    return look

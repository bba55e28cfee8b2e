"""Watch the backend of a long batch through another connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from gaq_listen.db.connection import AbortableConnection

Result = TypeVar("Result")

IDLE = "idle"
_STATE = "select state, state_change from pg_stat_activity where pid = %s"

BackendState: TypeAlias = tuple[object, ...] | None
BackendProbe: TypeAlias = Callable[[], Awaitable[BackendState]]


async def watched(work: Awaitable[Result], line: AbortableConnection, look: BackendProbe) -> Result:
    """Await ``work``, which uses ``line``. Abort ``line`` if its backend is gone, or was idle at two checks in a row.

    A batch may take long, so its own limit is wide. A network that loses everything, or a backend that is frozen, shows
    earlier: ``look`` fails, or reports twice that the backend has been idle since the same moment.

    Raises:
        TimeoutError, psycopg.OperationalError: ``line`` cannot be used any more.
    """
    task = asyncio.ensure_future(work)
    before: BackendState = None
    try:
        while not (await asyncio.wait({task}, timeout=line.response_timeout))[0]:
            now = await look()
            if now is None or (_is_idle(now) and now == before):
                line.abort()
                await asyncio.wait({task})
                raise TimeoutError(
                    f"the server has not answered for {2 * line.response_timeout:g} s, nor is it at work"
                )
            before = now
        return task.result()
    finally:
        if not task.done():
            line.abort()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen


def _is_idle(state: tuple[object, ...]) -> bool:
    """Return whether the backend waits for a query. False if the server reports nothing (track_activities = off)."""
    return str(state[0]).startswith(IDLE)


async def backend_pid(line: AbortableConnection) -> int:
    """Return the pid of the backend that serves a connection: behind a pooler, what libpq knows is the pooler's."""
    async with line.deadline():
        (row,) = await (await line.execute("select pg_backend_pid()")).fetchall()
    return int(row[0])


def backend_probe(pid: int, asked: AbortableConnection) -> BackendProbe:
    """Return a function that asks, through ``asked``, for the state of a backend and since when it has that state."""

    async def look() -> BackendState:
        async with asked.deadline():
            return await (await asked.execute(_STATE, (pid,))).fetchone()

    return look

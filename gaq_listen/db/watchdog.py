"""Watch the backend of a long query through another connection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from gaq_listen.db.connection import AbortableConnection

Result = TypeVar("Result")

_STATE = "select state, state_change from pg_stat_activity where pid = %s"

BackendState: TypeAlias = tuple[object, ...] | None
"""The state of a backend, and since when it has it. None: the backend is gone."""
BackendProbe: TypeAlias = Callable[[], Awaitable[BackendState]]


async def watched(work: Awaitable[Result], connection: AbortableConnection, probe: BackendProbe) -> Result:
    """Await ``work``. Abort its ``connection`` if the backend is gone, or was idle at two consecutive checks.

    A batch may take long, so its deadline is late. A network that loses everything, or a frozen backend, shows earlier:
    ``probe`` fails, or returns twice that the backend has been idle since the same time.

    Raises:
        TimeoutError, psycopg.OperationalError: ``connection`` cannot be used any more.
    """
    task = asyncio.ensure_future(work)
    before: BackendState = None
    waited = 0.0
    try:
        while not (await asyncio.wait({task}, timeout=connection.response_timeout))[0]:
            waited += connection.response_timeout
            now = await probe()
            if now is None or (_is_idle(now) and now == before):
                connection.abort()
                await asyncio.wait({task})
                raise TimeoutError(f"the server has not answered for {waited:g} s, nor is it at work")
            before = now
        return task.result()
    finally:
        if not task.done():
            connection.abort()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # Retrieve it, or asyncio logs it.


def _is_idle(state: tuple[object, ...]) -> bool:
    """Return whether the backend waits for a query. False if the server does not say (track_activities = off)."""
    return str(state[0]).startswith("idle")


async def backend_pid(connection: AbortableConnection) -> int:
    """Return the pid of the backend of a connection. (Behind a pooler, the pid that libpq has is the pooler's.)"""
    async with connection.deadline():
        (row,) = await (await connection.execute("select pg_backend_pid()")).fetchall()
    return int(row[0])


def backend_probe(pid: int, through: AbortableConnection) -> BackendProbe:
    """Return a function that asks, ``through`` a connection, for the state of a backend and since when it has it."""

    async def probe() -> BackendState:
        async with through.deadline():
            return await (await through.execute(_STATE, (pid,))).fetchone()

    return probe

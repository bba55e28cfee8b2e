"""A worker at work inside a test, and what it tells."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from psycopg import Connection

from gaq_listen.settings import WorkerSettings
from gaq_listen.worker.events import Event, Listening
from gaq_listen.worker.worker import Worker

EventType = TypeVar("EventType", bound=Event)
PATIENCE = 20.0
"""Seconds after which a state that should come soon counts as not coming."""


class RunningWorker:
    """A worker that runs as a task, and the events it has told so far."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.events: list[Event] = []
        self._told = asyncio.Event()
        self.worker = Worker(settings, self._hear)
        self.task = asyncio.ensure_future(self.worker.run())

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self._told.set()

    def of(self, kind: type[EventType]) -> list[EventType]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Waits until something is so, which is looked at after each event."""
        async with asyncio.timeout(PATIENCE):
            while not (outcome := condition()):
                if self.task.done():
                    self.task.result()
                self._told.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await self._told.wait()
        return outcome


@asynccontextmanager
async def running_worker(dsn: str, **settings: Any) -> AsyncIterator[RunningWorker]:
    """A worker that listens, and is stopped at the end."""
    work = RunningWorker(WorkerSettings(dsn=dsn, **settings))
    try:
        await work.until(lambda: work.of(Listening))
        yield work
    finally:
        work.worker.stop("end of test")
        async with asyncio.timeout(PATIENCE):
            await work.task


def stale(db: Connection[Any]) -> int:
    """How many pairs are marked."""
    row = db.execute("select count(*) from gaq.pending").fetchone()
    assert row is not None
    return int(row[0])


def asleep(db: Connection[Any]) -> bool:
    """Whether a worker sleeps at the doorbell."""
    row = db.execute("select somebody_listens from gaq.status").fetchone()
    return bool(row and row[0])


def until(condition: Callable[[], Any]) -> None:
    """Waits until something is so, where there is no event to wait for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def differences(db: Connection[Any]) -> list[Any]:
    """Pairs that are not marked although what is stored differs from what is recomputed."""
    return db.execute(
        "select d.*"
        " from (select array_agg(data_pass_id) as passes, array_agg(run_number) as runs from gaq.known_pairs) p"
        " cross join lateral gaq.differences(p.passes, p.runs) d"
    ).fetchall()

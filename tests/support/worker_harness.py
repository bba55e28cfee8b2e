"""Run a worker as a task of the test, and record its events."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from psycopg import Connection

from gaq_listen.settings import WorkerSettings
from gaq_listen.worker.events import Event, Listening
from gaq_listen.worker.worker import Worker
from tests.support.waiting import PATIENCE

EventType = TypeVar("EventType", bound=Event)


class RunningWorker:
    """A worker that runs as a task, and its events so far."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Start the task."""
        self.events: list[Event] = []
        self._has_news = asyncio.Event()
        self.worker = Worker(settings, self._observe)
        self.task = asyncio.ensure_future(self.worker.run())

    def _observe(self, event: Event) -> None:
        self.events.append(event)
        self._has_news.set()

    def of(self, kind: type[EventType]) -> list[EventType]:
        """Return the events of one class so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until the result of ``condition`` is true, and return it. Check after each event and every 20 ms."""
        async with asyncio.timeout(PATIENCE):
            while not (outcome := condition()):
                if self.task.done():
                    self.task.result()
                self._has_news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await self._has_news.wait()
        return outcome


@asynccontextmanager
async def running_worker(dsn: str, **settings: Any) -> AsyncIterator[RunningWorker]:
    """Start a worker, wait until it listens, and stop it at the end."""
    work = RunningWorker(WorkerSettings(dsn=dsn, **settings))
    try:
        await work.until(lambda: work.of(Listening))
        yield work
    finally:
        work.worker.stop("end of test")
        async with asyncio.timeout(PATIENCE):
            await work.task


def stale(db: Connection[Any]) -> int:
    """Return the number of stale pairs."""
    row = db.execute("select count(*) from gaq.pending").fetchone()
    assert row is not None
    return int(row[0])


def asleep(db: Connection[Any]) -> bool:
    """Return whether a worker sleeps at the doorbell."""
    row = db.execute("select somebody_listens from gaq.status").fetchone()
    return bool(row and row[0])


def differences(db: Connection[Any]) -> list[Any]:
    """Return the fresh pairs whose stored summary differs from the recomputed one."""
    return db.execute(
        "select d.*"
        " from (select array_agg(data_pass_id) as passes, array_agg(run_number) as runs from gaq.known_pairs) p"
        " cross join lateral gaq.differences(p.passes, p.runs) d"
    ).fetchall()

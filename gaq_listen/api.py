"""Define the Python interface for applications: run a worker in an event loop, and read summaries that are never stale.

``docs/python.md`` describes the interface and has an example. Import the names from ``gaq_listen`` itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Self

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import class_row

from gaq_listen.db.server_errors import explain
from gaq_listen.errors import GaqListenError
from gaq_listen.settings import WorkerSettings
from gaq_listen.types import Key
from gaq_listen.worker import events
from gaq_listen.worker.worker import Worker

CHANNEL = "gaq_refreshed"
"""The channel on which workers announce the pairs that they have refreshed."""

_LIVE = "select * from gaq.live_summaries(%s, %s) order by run_number"
_PERIODS = """
select "from" as start, "to" as end, quality, flag_ids, unverified_flag_ids, detectors_without_flag
from gaq.periods(%s, %s)
"""


@dataclass(frozen=True, slots=True)
class LiveSummary:
    """Hold the summary of a pair, as ``gaq.live_summaries`` returns it. Coverages are from 0 to 1; None: no value.

    ``computed_now`` says that the stored summary was stale, so that the read has computed this one. If the pair cannot
    be computed, the values are the stored ones, ``invalidated_at`` is the time since which they are stale, and
    ``error`` says why. Otherwise both are None.
    """

    data_pass_id: int
    run_number: int
    bad_run_coverage: float | None
    explicitly_not_bad_run_coverage: float | None
    mc_reproducible_coverage: float | None
    missing_verifications_count: int | None
    undefined_quality_periods_count: int | None
    not_computable: bool | None
    invalidated_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    computed_now: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class ElementaryPeriod:
    """Hold a span of a run in which no effective flag begins or ends, as ``gaq.periods`` returns it.

    ``flag_ids`` are the effective flags on GAQ detectors, and ``unverified_flag_ids`` those without a verification.
    ``detectors_without_flag`` are the ids of the GAQ detectors without a flag. None in it is a detector without an id.
    """

    start: datetime
    end: datetime
    quality: Literal["good", "mc_reproducible", "bad", "undefined"]
    flag_ids: tuple[int, ...]
    unverified_flag_ids: tuple[int, ...]
    detectors_without_flag: tuple[int | None, ...]

    def __post_init__(self) -> None:
        """Freeze the lists that the database returns."""
        for name in ("flag_ids", "unverified_flag_ids", "detectors_without_flag"):
            object.__setattr__(self, name, tuple(getattr(self, name)))


async def live_summaries(
    connection: AsyncConnection[Any], data_pass_id: int, run_numbers: Iterable[int] | None = None
) -> list[LiveSummary]:
    """Read the summaries of a data pass, or of ``run_numbers`` in it, in order of run numbers. None of them is stale.

    Raises:
        GaqListenError: too many summaries are stale to compute them now. The message says what to do.
    """
    runs = None if run_numbers is None else list(run_numbers)
    async with connection.cursor(row_factory=class_row(LiveSummary)) as cursor:
        try:
            await cursor.execute(_LIVE, (data_pass_id, runs))
        except psycopg.errors.ProgramLimitExceeded as error:
            raise GaqListenError(explain(error)) from error
        return await cursor.fetchall()


async def periods(connection: AsyncConnection[Any], data_pass_id: int, run_number: int) -> list[ElementaryPeriod]:
    """Read the elementary periods of a pair, in order. The list is empty when the pair is not computable."""
    async with connection.cursor(row_factory=class_row(ElementaryPeriod)) as cursor:
        await cursor.execute(_PERIODS, (data_pass_id, run_number))
        return await cursor.fetchall()


async def refreshes(connection: AsyncConnection[Any]) -> AsyncIterator[list[Key]]:
    """Begin to listen. Return an endless iterator over the lists of pairs that workers refresh from now on.

    A pair is ``(data_pass_id, run_number)``. The connection must be in autocommit mode, and be used for nothing else.
    """
    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(CHANNEL)))
    return _refreshes(connection)


async def _refreshes(connection: AsyncConnection[Any]) -> AsyncIterator[list[Key]]:
    async for notification in connection.notifies():
        if notification.channel == CHANNEL:
            yield [(data_pass_id, run_number) for data_pass_id, run_number in json.loads(notification.payload)]


class BackgroundWorker:
    """Run a worker as a task of the application's event loop.

    The loop calls ``observe`` with each event of ``gaq_listen.worker.events``. It must neither block nor raise.

        async with BackgroundWorker(WorkerSettings(dsn=dsn), observe):
            ...
    """

    def __init__(self, settings: WorkerSettings, observe: events.Observer = lambda event: None) -> None:
        self._observe = observe
        self._worker = Worker(settings, self._hear)
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Return whether the worker has been started and has not ended."""
        return self._task is not None and not self._task.done()

    async def start(self) -> None:
        """Start the worker. Return when the worker listens, or polls because notifications do not arrive.

        Raises:
            GaqListenError: the worker cannot work (see ``Worker.run``), or was started before.
        """
        if self._task is not None:
            raise GaqListenError("a BackgroundWorker is started once: make another one")
        self._task = asyncio.create_task(self._worker.run(), name="gaq-listen worker")
        ready = asyncio.create_task(self._ready.wait())
        try:
            await asyncio.wait((self._task, ready), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._worker.stop("the application was cancelled")
            await asyncio.wait({self._task})
            raise
        finally:
            ready.cancel()
        if self._task.done():
            await self._task

    async def wait(self) -> None:
        """Wait until the worker has ended. A cancelled wait does not stop the worker.

        Raises:
            GaqListenError: an error that trying again does not fix has ended the worker.
        """
        if self._task is not None:
            await asyncio.shield(self._task)

    async def stop(self, reason: str = "the application stops") -> None:
        """Let the worker finish its batch, and return when the worker has ended.

        Raises:
            GaqListenError: an error that trying again does not fix has ended the worker.
        """
        if self._task is None:
            return
        self._worker.stop(reason)
        await self.wait()

    async def __aenter__(self) -> Self:
        """Start the worker."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the worker. If the body has raised an error, ignore one of the worker."""
        if error is None:
            await self.stop()
        else:
            with suppress(GaqListenError):
                await self.stop()

    def _hear(self, event: events.Event) -> None:
        if isinstance(event, events.Listening | events.Polling):
            self._ready.set()
        self._observe(event)

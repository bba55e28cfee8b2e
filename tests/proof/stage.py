"""Run two writers and two workers on real connections, step by step.

Only one of them acts at a time, so a course of steps is the same each time. A worker is a real ``WorkerSession``.
Its steps end at the stops of ``stepped.py`` and at the gates of ``gates.py``. The director is the test's connection.
It opens and closes the gates, and checks the rules.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import psycopg
from psycopg import Connection, Notify
from psycopg.pq import TransactionStatus

from gaq_listen.worker.doorbell import CHANNEL
from tests.proof.gates import PLACES, Gates
from tests.proof.stepped import ASLEEP, REFRESHING, TROUBLE, Parts, SteppedWorker
from tests.support.small_world import assert_fresh, judge, marks

WRITERS = ("anna", "bob")
WORKERS = ("first", "second")

PATIENCE = 20.0
"""Seconds within which a worker reaches its next stop. Only a failure waits so long."""

ENOUGH = 400
"""Steps within which a worker reaches a place, or comes to rest."""


@dataclass(frozen=True, slots=True)
class Say:
    """Let a writer execute a statement. The writer is in a transaction until COMMIT or ROLLBACK."""

    writer: str
    sql: str

    def __str__(self) -> str:
        return f"{self.writer}: {self.sql}"


@dataclass(frozen=True, slots=True)
class Go:
    """Let a worker go one step, or until it reaches a place. ``rest`` is asleep or in a nap."""

    worker: str
    to: str = ""

    def reached(self, place: str) -> bool:
        return place in (ASLEEP, "nap") if self.to == "rest" else place == self.to


@dataclass(frozen=True, slots=True)
class Crash:
    """Terminate one of the backends of a worker. The worker starts again with its next step after it has noticed."""

    worker: str
    backend: Literal["work", "bell"]

    def __str__(self) -> str:
        return f"{self.worker}: its {self.backend} backend is terminated"


Step: TypeAlias = Say | Go | Crash


class Broken(AssertionError):
    """Report a rule that does not hold, with the steps that led to it."""

    def __init__(self, rule: str, detail: str, steps: Iterable[str]) -> None:
        super().__init__("\n".join([f"{rule}: {detail}; after", *(f"    {step}" for step in steps)]))
        self.rule = rule


UNMARKED = "a summary is wrong and not marked"
LIVE = "a live summary is wrong"
OVERSLEPT = "a worker sleeps beside a mark"
FAILS = "a worker fails"
WAITS = "a writer or a worker waits for another"
RESTLESS = "the workers do not come to rest"
WRONG = "a summary is wrong after the workers have come to rest"


class Stage:
    """Hold the writers, the workers and the gates. ``director`` is in autocommit mode."""

    def __init__(self, director: Connection[Any], dsn: str, parts: Parts = Parts()) -> None:  # noqa: B008
        self._director = director
        self._dsn = dsn
        self._rung = 0
        director.add_notify_handler(self._hear)
        director.execute(f"LISTEN {CHANNEL}")
        self._gates = Gates(director, len(WORKERS))
        self.steps: list[str] = []
        """The steps so far."""
        self._writers: dict[str, Connection[Any]] = {}
        self._workers = {name: SteppedWorker(name, number, dsn, parts) for number, name in enumerate(WORKERS)}
        self._rung_before: dict[str, int] = {}

    def _hear(self, notification: Notify) -> None:
        self._rung += notification.channel == CHANNEL

    async def open(self) -> None:
        for name in WRITERS:
            self._writers[name] = psycopg.connect(self._dsn, options="-c lock_timeout=5s")
        # The first worker starts last, so that it hears no probe of the other.
        for worker in reversed(self._workers.values()):
            await self._start(worker)

    async def close(self) -> None:
        self._gates.open_all()
        self._director.execute(f"UNLISTEN {CHANNEL}")
        self._director.remove_notify_handler(self._hear)
        for writer in self._writers.values():
            writer.close()
        for worker in self._workers.values():
            await worker.finish()
        self._until_gone(pid for worker in self._workers.values() for pid in worker.backends.values())

    # Steps ------------------------------------------------------------------------------------------------

    async def play(self, steps: Iterable[Step]) -> None:
        """Do the steps, and check the rules after each.

        Raises:
            Broken: a rule does not hold.
        """
        for step in steps:
            match step:
                case Say(writer, sql):
                    await self._say(writer, sql)
                case Crash(worker, backend):
                    await self._crash(self._workers[worker], backend)
                case Go(worker, ""):
                    await self.go(worker)
                case Go(worker, to):
                    for _ in range(ENOUGH):
                        if not await self.go(worker) or step.reached(self._workers[worker].place):
                            break
                    if not step.reached(place := self._workers[worker].place):
                        raise self._broken(RESTLESS, f"{worker} comes to {place!r}, not to {to!r}")

    async def _say(self, name: str, sql: str) -> None:
        self.steps.append(str(Say(name, sql)))
        try:
            self._writers[name].execute(sql.encode())
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            raise self._broken(WAITS, f"{name}: {error}") from error
        if sql == "COMMIT":
            await self._check()

    def place(self, worker: str) -> str:
        """Return the place of a worker."""
        return self._workers[worker].place

    async def go(self, name: str) -> bool:
        """Let a worker go one step. Return False if it sleeps and cannot go."""
        worker = self._workers[name]
        if worker.ended:
            await self._restart(worker)
            return True
        before = worker.place
        if before == ASLEEP:
            return False
        if before in PLACES:
            worker.stops.place = REFRESHING
            self._gates.open(worker.number, before)
        else:
            worker.go()
        await self._arrive(worker)
        if before in PLACES:
            self._gates.close(worker.number, before)
        self.steps.append(f"{name}: {before} → {'lost its connection' if worker.ended else worker.place}")
        if worker.place not in PLACES and before in ("refresh", *PLACES):
            await self._check()
        elif worker.place == ASLEEP:
            await self._check_sleepers()
        return True

    async def _arrive(self, worker: SteppedWorker) -> None:
        """Wait until the worker has reached its next stop or gate, or has ended."""
        deadline = time.monotonic() + PATIENCE
        for attempt in itertools.count(1):
            await asyncio.sleep(0)
            if worker.ended:
                self._check_end(worker)
                return
            if worker.stops.stands:
                return
            if worker.place == REFRESHING:
                place = self._gates.waits_at(worker.number, worker.backends["work"])
                if place and worker.place == REFRESHING:
                    worker.stops.place = place
                    return
                if attempt % 20 == 0 and (blockers := self._blockers(worker)):
                    raise self._broken(WAITS, f"{worker.name} for {blockers}")
            if time.monotonic() > deadline:
                raise self._broken(WAITS, f"{worker.name} does not come on from {worker.place!r}")

    def _check_end(self, worker: SteppedWorker) -> None:
        """Check that a worker has ended only because it has lost a crashed connection."""
        error = worker.task.exception()
        if not worker.lost or not isinstance(error, TROUBLE):
            raise self._broken(FAILS, f"{worker.name}: {error!r}") from error

    async def _crash(self, worker: SteppedWorker, backend: Literal["work", "bell"]) -> None:
        if worker.ended:
            return
        pid = worker.backends[backend]
        self._director.execute("SELECT pg_terminate_backend(%s)", [pid])
        self._until_gone([pid])
        self.steps.append(str(Crash(worker.name, backend)))
        worker.lost.add(backend)
        if backend == "work" and worker.place in PLACES:
            await self._notice(worker)
        await self._check()

    async def _start(self, worker: SteppedWorker) -> None:
        await worker.start()
        await self._arrive(worker)
        self._pending()
        self._rung_before[worker.name] = self._rung

    async def _restart(self, worker: SteppedWorker) -> None:
        await worker.finish()
        self._until_gone(worker.backends.values())
        await self._start(worker)
        self.steps.append(f"{worker.name}: starts again → {worker.place}")
        await self._check()

    def _until_gone(self, backends: Iterable[int]) -> None:
        deadline = time.monotonic() + PATIENCE
        query = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY (%s)"
        pids = list(backends)
        while self._director.execute(query, [pids]).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.0005)

    # Rules ----------------------------------------------------------------------------------------------

    async def _check(self) -> None:
        """Check after a commit: wrong summaries are marked, live ones are right, and no worker sleeps beside a mark."""
        wrong, stale, live_wrong = judge(self._director)
        if not wrong <= stale:
            raise self._broken(UNMARKED, f"{sorted(wrong - stale)}")
        if live_wrong:
            raise self._broken(LIVE, f"{sorted(live_wrong)}")
        await self._check_sleepers()

    async def _check_sleepers(self) -> None:
        """Check that no worker sleeps beside a mark, unless a ring is about to wake it."""
        pending = self._pending()
        for worker in self._workers.values():
            if worker.place != ASLEEP or worker.ended:
                continue
            if "bell" in worker.lost:
                await self._notice(worker)
            elif worker.stops.heard < self._rung - self._rung_before[worker.name]:
                await self._wake(worker)
            elif pending:
                raise self._broken(OVERSLEPT, worker.name)

    async def _notice(self, worker: SteppedWorker) -> None:
        """Wait until a worker has noticed that its connection is lost."""
        async with asyncio.timeout(PATIENCE):
            while not worker.ended:
                if worker.place == "let go":  # Meanwhile, through the other connection.
                    worker.go()
                await asyncio.sleep(0)
        self._check_end(worker)
        self.steps.append(f"{worker.name}: {worker.place} → lost its connection")

    async def _wake(self, worker: SteppedWorker) -> None:
        deadline = time.monotonic() + PATIENCE
        while worker.place == ASLEEP and not worker.ended:
            if time.monotonic() > deadline:
                raise self._broken(OVERSLEPT, f"{worker.name} does not hear the bell")
            await asyncio.sleep(0)
        if worker.ended:
            self._check_end(worker)
        self.steps.append(f"{worker.name}: {ASLEEP} → {'lost its connection' if worker.ended else worker.place}")

    async def settle(self) -> None:
        """Let the workers come to rest after the last write, and check that every summary is right."""
        for name, writer in self._writers.items():
            assert writer.info.transaction_status == TransactionStatus.IDLE, f"{name} has not committed"
        for _ in range(ENOUGH):
            if self._at_rest():
                break
            for name, worker in self._workers.items():
                while await self.go(name) and worker.place not in (ASLEEP, "nap"):
                    pass
        else:
            raise self._broken(RESTLESS, ", ".join(f"{name} is at {w.place!r}" for name, w in self._workers.items()))
        try:
            assert_fresh(self._director)
        except AssertionError as error:
            raise self._broken(WRONG, str(error)) from error

    def _at_rest(self) -> bool:
        """Return whether nothing is marked, one worker holds the doorbell, and the other waits."""
        places = [worker.place for worker in self._workers.values() if not worker.ended]
        return len(places) == len(WORKERS) and ASLEEP in places and {*places} <= {ASLEEP, "nap"} and not self._pending()

    def _pending(self) -> bool:
        """Return whether anything is marked, and count all rings before it.

        PostgreSQL delivers notifications between two queries, so with the second answer at the latest.
        """
        self._director.execute("SELECT")
        return marks(self._director) != (0, 0)

    def _broken(self, rule: str, detail: str) -> Broken:
        return Broken(rule, detail, self.steps)

    def _blockers(self, worker: SteppedWorker) -> list[str]:
        """Return the writers and workers for which a worker waits: none of them acts, so it would wait forever."""
        names = {writer.info.backend_pid: name for name, writer in self._writers.items()}
        names |= {other.backends["work"]: other.name for other in self._workers.values()}
        row = self._director.execute("SELECT pg_blocking_pids(%s)", [worker.backends["work"]]).fetchone()
        assert row is not None
        return [names[pid] for pid in row[0] if pid in names]


@asynccontextmanager
async def stage(director: Connection[Any], dsn: str, parts: Parts = Parts()) -> AsyncIterator[Stage]:  # noqa: B008
    """Open a stage: everybody is connected, and the workers are at their first stops."""
    opened = Stage(director, dsn, parts)
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()

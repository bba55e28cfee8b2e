"""Two writers and two workers on real connections, and a director who has them act step by step.

Only one of them acts at a time, so a course of steps is the same each time. A worker is the real
``Service``; its steps end at the stops of ``stepped.py`` and at the gates of ``gates.py``.
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
"""Seconds after which a worker that should come to its next stop counts as not coming. Only a failure waits so long."""

ENOUGH = 400
"""Steps after which a worker that should have come to a place, or to rest, counts as not coming."""


@dataclass(frozen=True, slots=True)
class Say:
    """A writer executes a statement; it is in a transaction until it says COMMIT or ROLLBACK."""

    writer: str
    sql: str

    def __str__(self) -> str:
        return f"{self.writer}: {self.sql}"


@dataclass(frozen=True, slots=True)
class Go:
    """A worker goes one step; or until it comes to a place, ``rest`` being sleep or a nap."""

    worker: str
    to: str = ""

    def reached(self, place: str) -> bool:
        return place in (ASLEEP, "nap") if self.to == "rest" else place == self.to


@dataclass(frozen=True, slots=True)
class Crash:
    """The server loses one of a worker's backends. The worker starts again when it has noticed and goes a step."""

    worker: str
    backend: Literal["work", "bell"]

    def __str__(self) -> str:
        return f"{self.worker}: its {self.backend} backend is terminated"


Step: TypeAlias = Say | Go | Crash


class Broken(AssertionError):
    """A rule that does not hold, after the steps that were told."""

    def __init__(self, rule: str, detail: str, steps: Iterable[str]) -> None:
        super().__init__("\n".join([f"{rule}: {detail}; after", *(f"    {step}" for step in steps)]))
        self.rule = rule


UNMARKED = "a summary is wrong and not marked"
LIVE = "a live summary is wrong"
OVERSLEPT = "a worker sleeps beside a mark"
FAILS = "a worker fails"
WAITS = "somebody waits for somebody else"
RESTLESS = "it does not come to rest"
WRONG = "it has come to rest and is not right"


class Stage:
    """The director's connection is in autocommit; nobody else acts on the database."""

    def __init__(self, director: Connection[Any], dsn: str, parts: Parts = Parts()) -> None:  # noqa: B008
        self._director = director
        self._dsn = dsn
        self._rung = 0
        director.add_notify_handler(self._hear)
        director.execute(f"LISTEN {CHANNEL}")
        self._gates = Gates(director, len(WORKERS))
        self.steps: list[str] = []
        """What has been done, as it went."""
        self._writers: dict[str, Connection[Any]] = {}
        self._workers = {name: SteppedWorker(name, number, dsn, parts) for number, name in enumerate(WORKERS)}
        self._rung_before: dict[str, int] = {}

    def _hear(self, notification: Notify) -> None:
        self._rung += notification.channel == CHANNEL

    async def open(self) -> None:
        for name in WRITERS:
            self._writers[name] = psycopg.connect(self._dsn, options="-c lock_timeout=5s")
        # The first one last, so that nobody's probe has rung for it.
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

    # What happens ------------------------------------------------------------------------------------------------

    async def play(self, steps: Iterable[Step]) -> None:
        """Does the steps, checking the rules after each.

        Raises:
            Broken: one does not hold.
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
        """Where a worker stands."""
        return self._workers[worker].place

    async def go(self, name: str) -> bool:
        """One step of a worker; False when it sleeps and cannot go."""
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
        """Until the worker has come to its next stop or gate, or has ended."""
        deadline = time.monotonic() + PATIENCE
        for attempt in itertools.count(1):
            await asyncio.sleep(0)
            if worker.ended:
                self._look_at_the_end(worker)
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

    def _look_at_the_end(self, worker: SteppedWorker) -> None:
        """A worker ends by losing a connection that has crashed, and by nothing else."""
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

    # What must hold ----------------------------------------------------------------------------------------------

    async def _check(self) -> None:
        """After a commit: what is wrong is marked, live summaries are right, and no worker sleeps beside a mark."""
        wrong, stale, live_wrong = judge(self._director)
        if not wrong <= stale:
            raise self._broken(UNMARKED, f"{sorted(wrong - stale)}")
        if live_wrong:
            raise self._broken(LIVE, f"{sorted(live_wrong)}")
        await self._check_sleepers()

    async def _check_sleepers(self) -> None:
        """Nobody sleeps beside a mark, unless the bell has rung and he is about to wake."""
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
        """The worker, which reads from a connection that is lost, notices."""
        async with asyncio.timeout(PATIENCE):
            while not worker.ended:
                if worker.place == "let go":  # what it does meanwhile through the other connection
                    worker.go()
                await asyncio.sleep(0)
        self._look_at_the_end(worker)
        self.steps.append(f"{worker.name}: {worker.place} → lost its connection")

    async def _wake(self, worker: SteppedWorker) -> None:
        deadline = time.monotonic() + PATIENCE
        while worker.place == ASLEEP and not worker.ended:
            if time.monotonic() > deadline:
                raise self._broken(OVERSLEPT, f"{worker.name} does not hear the bell")
            await asyncio.sleep(0)
        if worker.ended:
            self._look_at_the_end(worker)
        self.steps.append(f"{worker.name}: {ASLEEP} → {'lost its connection' if worker.ended else worker.place}")

    async def settle(self) -> None:
        """Nobody writes any more: the workers come to rest, and everything is right."""
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
        """Nothing is marked, and somebody sleeps, so that writers ring; the other at least naps."""
        places = [worker.place for worker in self._workers.values() if not worker.ended]
        return len(places) == len(WORKERS) and ASLEEP in places and {*places} <= {ASLEEP, "nap"} and not self._pending()

    def _pending(self) -> bool:
        """Whether anything is marked. What rang before has been counted then: PostgreSQL delivers notifications
        between two queries, so with the second answer at the latest."""
        self._director.execute("SELECT")
        return marks(self._director) != (0, 0)

    def _broken(self, rule: str, detail: str) -> Broken:
        return Broken(rule, detail, self.steps)

    def _blockers(self, worker: SteppedWorker) -> list[str]:
        """The others on the stage that the worker waits for: they stand still, so it waits for ever."""
        names = {writer.info.backend_pid: name for name, writer in self._writers.items()}
        names |= {other.backends["work"]: other.name for other in self._workers.values()}
        row = self._director.execute("SELECT pg_blocking_pids(%s)", [worker.backends["work"]]).fetchone()
        assert row is not None
        return [names[pid] for pid in row[0] if pid in names]


@asynccontextmanager
async def stage(director: Connection[Any], dsn: str, parts: Parts = Parts()) -> AsyncIterator[Stage]:  # noqa: B008
    """A stage with everybody connected, the workers at their first stop."""
    opened = Stage(director, dsn, parts)
    try:
        await opened.open()
        yield opened
    finally:
        await opened.close()

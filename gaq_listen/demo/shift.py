"""A simulated shift: people who change QC flags and what else summaries are made of."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import psycopg

from gaq_listen.db import sessions
from gaq_listen.db.server_errors import sentence
from gaq_listen.demo.activity import Activity, Touched
from gaq_listen.demo.period import Pair, Period
from gaq_listen.errors import DatabaseUnreachable, GaqListenError


@dataclass(frozen=True, slots=True)
class Change:
    """A committed change, and the pairs it made stale.

    The times are monotonic seconds: before it began, and right after its COMMIT had returned.
    """

    kind: str
    pairs: frozenset[Pair]
    begun: float
    committed: float


Make: TypeAlias = Callable[[Activity], Awaitable[Touched]]

MIX: dict[str, tuple[float, Make]] = {
    "flag added": (30, Activity.add_flag),
    "flags added in bulk": (4, Activity.add_flags),
    "flag verified": (24, Activity.verify_flag),
    "flag moved": (10, Activity.move_flag),
    "flag deleted": (8, Activity.delete_flag),
    "flag restored": (3, Activity.restore_flag),
    "flag commented": (8, Activity.comment_flag),
    "synchronous flag added": (2, Activity.add_synchronous_flag),
    "GAQ detectors changed": (4, Activity.change_gaq_detectors),
    "run corrected": (4, Activity.correct_run),
    "run ended": (1, Activity.end_run),
    "run left data pass": (1, Activity.leave_data_pass),
    "run entered data pass": (1, Activity.enter_data_pass),
    "flag type changed": (0.5, Activity.change_flag_type),
}
"""Kinds of changes, and how often they come."""
_KINDS = list(MIX)
_WEIGHTS = [weight for weight, _ in MIX.values()]


class Shift:
    """Changes a period that ``fill`` has filled in, ``rate`` times a second on average.

    Changes come as independent people make them: at times that have nothing to do with each other. The same ``chance``
    makes the same ones. ``told`` is called with each; ``changes`` counts them by kind.
    """

    def __init__(
        self,
        dsn: str,
        period: Period,
        chance: random.Random,
        rate: float = 20.0,
        told: Callable[[Change], None] = lambda _: None,
    ) -> None:
        self.changes: Counter[str] = Counter()
        self._dsn = dsn
        self._period = period
        self._chance = chance
        self._rate = rate
        self._told = told

    async def run(self, stop: asyncio.Event) -> None:
        """Makes changes, on a connection of its own, until ``stop`` is set; the one in flight finishes.

        Raises:
            DatabaseUnreachable: there is no connection, or not any more.
            GaqListenError: the database refused a change.
        """
        try:
            connection = await sessions.connect(self._dsn, "gaq-listen shift")
        except psycopg.OperationalError as error:
            raise sessions.unreachable(error) from error
        async with connection:
            activity = Activity(connection, self._period, self._chance)
            arrival = time.monotonic()
            while not stop.is_set():
                arrival += self._chance.expovariate(self._rate)
                with suppress(TimeoutError):
                    async with asyncio.timeout(arrival - time.monotonic()):
                        await stop.wait()
                    return
                [kind] = self._chance.choices(_KINDS, _WEIGHTS)
                try:
                    await self._make(kind, activity)
                except psycopg.Error as error:
                    why = f"the simulated shift failed ({kind}): {sentence(error)}"
                    lost = connection.closed
                    raise (DatabaseUnreachable if lost else GaqListenError)(why) from error

    async def _make(self, kind: str, activity: Activity) -> None:
        _, make = MIX[kind]
        begun = time.monotonic()
        touched = await make(activity)
        committed = time.monotonic()
        if touched is not None:
            self.changes[kind] += 1
            self._told(Change(kind, touched, begun, committed))

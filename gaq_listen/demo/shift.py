"""Simulate a shift: people who change QC flags and other rows from which summaries are computed."""

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
from gaq_listen.demo.activity import Activity, StalePairs
from gaq_listen.demo.period import Pair, Period
from gaq_listen.errors import DatabaseUnreachable, GaqListenError


@dataclass(frozen=True, slots=True)
class SimulatedChange:
    """A committed change, and the pairs that it has made stale.

    ``begun`` is before the change, and ``committed`` is right after its COMMIT has returned, in monotonic seconds.
    """

    kind: str
    pairs: frozenset[Pair]
    begun: float
    committed: float


ChangeMethod: TypeAlias = Callable[[Activity], Awaitable[StalePairs]]

MIX: dict[str, tuple[float, ChangeMethod]] = {
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
"""The relative frequency of each kind of change, and the method that makes it."""
_KINDS = list(MIX)
_WEIGHTS = [weight for weight, _ in MIX.values()]


class Shift:
    """Change a period that ``fill`` has created, ``rate`` times a second on average.

    The times of the changes are independent of each other, as those of many people are. The same ``chance`` makes the
    same changes. The shift calls ``on_change`` with each change, and counts them by kind in ``changes``.
    """

    def __init__(
        self,
        dsn: str,
        period: Period,
        chance: random.Random,
        rate: float = 20.0,
        on_change: Callable[[SimulatedChange], None] = lambda _: None,
    ) -> None:
        self.changes: Counter[str] = Counter()
        self._dsn = dsn
        self._period = period
        self._chance = chance
        self._rate = rate
        self._on_change = on_change

    async def run(self, stop: asyncio.Event) -> None:
        """Make changes on a connection of its own until ``stop`` is set. The change in flight finishes.

        Raises:
            DatabaseUnreachable: The server accepts no connection, or the connection was lost.
            GaqListenError: The database has refused a change.
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
        pairs = await make(activity)
        committed = time.monotonic()
        if pairs is not None:
            self.changes[kind] += 1
            self._on_change(SimulatedChange(kind, pairs, begun, committed))

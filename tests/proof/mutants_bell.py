"""List mutants that oversleep, or whose writers do not ring."""

from __future__ import annotations

from gaq_listen.worker.doorbell import Doorbell
from gaq_listen.worker.refresher import DueCheck
from gaq_listen.worker.waiting import DoorbellState
from tests.proof.mutant import BAD, COMMIT, LIMITED, Mutant, anna, bob, first, second
from tests.proof.stage import OVERSLEPT, Crash
from tests.proof.stepped import Parts, SteppedDoorbell, SteppedRefresher


class DoesNotCheck(SteppedRefresher):
    """Fall asleep without the last check."""

    async def check_due(self, sources: bool = False) -> DueCheck:
        await self.stops.stop_at("check")
        return DueCheck()


class IgnoresClaims(SteppedRefresher):
    """Ignore the marks of pairs that another session has claimed."""

    async def check_due(self, sources: bool = False) -> DueCheck:
        check = await super().check_due(sources)
        cursor = await self._connection.execute(
            "SELECT count(*) FROM (SELECT FROM gaq.summaries JOIN gaq.pending USING (data_pass_id, run_number)"
            " FOR NO KEY UPDATE OF summaries SKIP LOCKED) unclaimed"
        )
        return DueCheck() if await cursor.fetchone() == (0,) else check


class HoldsLate(SteppedDoorbell):
    """Take the doorbell after the last check."""

    async def hold(self) -> DoorbellState:
        await self.stops.stop_at("hold")
        return DoorbellState.HELD

    async def wait(self, timeout: float) -> frozenset[int]:
        await self.stops.stop_at("late hold")
        await Doorbell.hold(self)
        return await super().wait(timeout)


class TrustsAnotherWorker(SteppedDoorbell):
    """Sleep without a deadline while another worker holds the doorbell."""

    async def hold(self) -> DoorbellState:
        state = await super().hold()
        return DoorbellState.HELD if state is DoorbellState.HELD_BY_OTHER else state


class ForgetsRings(SteppedDoorbell):
    """Forget the rings that came before the wait."""

    async def wait(self, timeout: float) -> frozenset[int]:
        await self.stops.stop_at("forgets")
        self.ringers()
        return await super().wait(timeout)


TRIED = "if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then\n        perform gaq.ring();"

BELL = [
    Mutant(
        "a worker falls asleep without the last check",
        first("hold") + anna(LIMITED, COMMIT) + first("rest"),
        OVERSLEPT,
        Parts(refresher=DoesNotCheck),
    ),
    Mutant(
        "a worker takes the doorbell after the last check",
        first("check") + first("") + anna(LIMITED, COMMIT) + first("rest"),
        OVERSLEPT,
        Parts(doorbell=HoldsLate),
    ),
    Mutant(
        "a worker forgets what rang before it slept",
        first("check") + first("") + anna(LIMITED, COMMIT) + first("rest"),
        OVERSLEPT,
        Parts(doorbell=ForgetsRings),
    ),
    Mutant(
        "a worker sleeps without a deadline beside a pair that another has claimed",
        anna(LIMITED, COMMIT) + first("end") + second("rest"),
        OVERSLEPT,
        Parts(refresher=IgnoresClaims),
    ),
    Mutant(
        "a worker sleeps without a deadline beside another worker's doorbell",
        first("rest") + second("rest") + (Crash("first", "bell"),) + anna(LIMITED, COMMIT),
        OVERSLEPT,
        Parts(doorbell=TrustsAnotherWorker),
    ),
    Mutant(
        "a writer lets the doorbell's lock go before it commits",
        anna(LIMITED) + first("rest") + anna(COMMIT),
        OVERSLEPT,
        altered={
            "gaq.mark_qc_flags": [
                (
                    TRIED,
                    (
                        "if found and pg_try_advisory_lock_shared(gaq.bell_key()) then\n"
                        "        perform pg_advisory_unlock_shared(gaq.bell_key());\n"
                        "    elsif found then\n        perform gaq.ring();"
                    ),
                )
            ]
        },
    ),
    Mutant(
        "a writer does not ring after a ring a moment ago",
        first("rest") + anna(LIMITED, COMMIT) + first("rest") + bob(BAD, COMMIT),
        OVERSLEPT,
        altered={
            "gaq.mark_qc_flags": [
                (
                    TRIED,
                    (
                        "if found and extract(epoch from clock_timestamp()) - (select last_value from gaq.rung)"
                        " > 60 then\n"
                        "        perform setval('gaq.rung', extract(epoch from clock_timestamp())::bigint);\n"
                        "        perform gaq.ring();"
                    ),
                )
            ]
        },
        given="CREATE SEQUENCE gaq.rung; GRANT ALL ON gaq.rung TO gaq_owner",
    ),
]

"""A worker that oversleeps, or a writer that does not ring."""

from __future__ import annotations

from gaq_listen.worker.doorbell import Doorbell
from gaq_listen.worker.pacing import Holder
from gaq_listen.worker.refresher import WorkState
from tests.proof.mutant import BAD, COMMIT, LIMITED, Mutant, anna, bob, first, second
from tests.proof.stage import OVERSLEPT, Crash
from tests.proof.stepped import Parts, SteppedBacklog, SteppedDoorbell


class DoesNotLook(SteppedBacklog):
    """Falls asleep without the last scan."""

    async def look(self, sources: bool = False) -> WorkState:
        await self.stops.stop_at("look")
        return WorkState(None, None)


class LooksPastClaims(SteppedBacklog):
    """Takes a mark that somebody else has claimed for none."""

    async def look(self, sources: bool = False) -> WorkState:
        look = await super().look(sources)
        cursor = await self._connection.execute(
            "SELECT count(*) FROM (SELECT FROM gaq.summaries JOIN gaq.pending USING (data_pass_id, run_number)"
            " FOR NO KEY UPDATE OF summaries SKIP LOCKED) unclaimed"
        )
        return WorkState(None, None) if await cursor.fetchone() == (0,) else look


class HoldsLate(SteppedDoorbell):
    """Takes the bell when the last scan is over."""

    async def hold(self) -> Holder:
        await self.stops.stop_at("hold")
        return Holder.THIS_WORKER

    async def wait(self, timeout: float) -> frozenset[int]:
        await self.stops.stop_at("late hold")
        await Doorbell.hold(self)
        return await super().wait(timeout)


class RestsOnAColleague(SteppedDoorbell):
    """Sleeps without a deadline when a colleague has the bell."""

    async def hold(self) -> Holder:
        bell = await super().hold()
        return Holder.THIS_WORKER if bell is Holder.OTHER_WORKER else bell


class ForgetsRings(SteppedDoorbell):
    """Hears only what rings while it waits."""

    async def wait(self, timeout: float) -> frozenset[int]:
        await self.stops.stop_at("forgets")
        self.heard()
        return await super().wait(timeout)


TRIED = "if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then\n        perform gaq.ring();"

BELL = [
    Mutant(
        "a worker falls asleep without the last scan",
        first("hold") + anna(LIMITED, COMMIT) + first("rest"),
        OVERSLEPT,
        Parts(backlog=DoesNotLook),
    ),
    Mutant(
        "a worker takes the bell after the last scan",
        first("look") + first("") + anna(LIMITED, COMMIT) + first("rest"),
        OVERSLEPT,
        Parts(doorbell=HoldsLate),
    ),
    Mutant(
        "a worker forgets what rang before it slept",
        first("look") + first("") + anna(LIMITED, COMMIT) + first("rest"),
        OVERSLEPT,
        Parts(doorbell=ForgetsRings),
    ),
    Mutant(
        "a worker sleeps without a deadline beside what another has claimed",
        anna(LIMITED, COMMIT) + first("end") + second("rest"),
        OVERSLEPT,
        Parts(backlog=LooksPastClaims),
    ),
    Mutant(
        "a worker sleeps without a deadline beside a colleague's bell",
        first("rest") + second("rest") + (Crash("first", "bell"),) + anna(LIMITED, COMMIT),
        OVERSLEPT,
        Parts(doorbell=RestsOnAColleague),
    ),
    Mutant(
        "a writer lets the bell's lock go before it commits",
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
        "a writer does not ring when somebody has rung a moment ago",
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

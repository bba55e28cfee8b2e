"""Mutants that lose an update, and for each the course of steps on which it does.

The same course is right with the real code. The names are those of ``tests/database/world.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from psycopg import Connection

from gaq_listen.backlog import Look
from gaq_listen.doorbell import Doorbell
from gaq_listen.pacing import Bell
from tests.database.altered import alter
from tests.proof.gates import gate
from tests.proof.stage import OVERSLEPT, UNMARKED, WAITS, Crash, Go, Say, Step
from tests.proof.stepped import Parts, SteppedBacklog, SteppedDoorbell

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Mutant:
    """``course``: the steps; ``breaks``: the rule that does not hold on it. ``parts`` and what is altered make the
    mutant; ``given`` is there with the real code as well."""

    name: str
    course: tuple[Step, ...]
    breaks: str
    parts: Parts = Parts()  # noqa: RUF009
    altered: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    sql: str = ""
    given: str = ""

    def make(self, connection: Connection[object]) -> None:
        """Replaces what is altered in the database, which has the gates already."""
        if self.sql:
            connection.execute((HERE / self.sql).read_bytes())
        for function, changes in self.altered.items():
            alter(connection, function, *changes)


def anna(*statements: str) -> tuple[Step, ...]:
    return tuple(Say("anna", statement) for statement in statements)


def bob(*statements: str) -> tuple[Step, ...]:
    return tuple(Say("bob", statement) for statement in statements)


def first(*places: str) -> tuple[Step, ...]:
    return tuple(Go("first", place) for place in places)


def second(*places: str) -> tuple[Step, ...]:
    return tuple(Go("second", place) for place in places)


# Changes of the pair D.
LIMITED = "UPDATE qc_flags SET flag_type_id = 3 WHERE id = 41"
BAD = "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES (3, 103, 1, 2)"
VERIFIED = "INSERT INTO qc_flag_verifications (flag_id) VALUES (41)"
AGAIN = "UPDATE gaq_summaries SET invalidated_at = now() WHERE run_number = 103"
COMMIT = "COMMIT"


# Pieces of the text of gaq.refresh.
COMPUTED = (
    "from gaq.compute_apart("
    "(select array_agg(data_pass_id) from present), (select array_agg(run_number) from present)) f"
)
COMPUTED_EARLY = "from pg_temp.early f join present using (data_pass_id, run_number)"
EARLY = "create temporary table early on commit drop as select * from gaq.compute_apart"
ALL_PAIRS = "select array_agg(data_pass_id), array_agg(run_number) into passes, runs from gaq.source_pairs;"
EXPANDED = "    expanded := gaq.expand();\n    loop"
DELETED = "delete from gaq.invalidations i\n        where i.ctid"
RETURNED = "\n        returning i.data_pass_id, i.run_number, i.invalidated_at, i.cause"
SEEN = "select i.data_pass_id, i.run_number, i.invalidated_at, i.cause from gaq.invalidations i\n        where i.ctid"
END = f"{gate('end')}\n"


def deletes_later(which: str, *noted: tuple[str, str]) -> dict[str, list[tuple[str, str]]]:
    """A refresh that deletes the marks of its pairs at the end: not those it has seen, but those up to something."""
    delete = (
        "delete from gaq.invalidations i using unnest(passes, runs) c (data_pass_id, run_number)"
        f" where (i.data_pass_id, i.run_number) = (c.data_pass_id, c.run_number) and {which};"
    )
    return {"gaq.refresh": [(DELETED, SEEN), (RETURNED, ""), (END, f"{END}{delete}\n"), *noted]}


def notes_last(column: str, kind: str) -> list[tuple[str, str]]:
    """What it has to remember for that."""
    return [
        ("    why text[];", f"    why text[];\n    last_seen {kind};"),
        (gate("delete"), f"{gate('delete')} select max({column}) into last_seen from gaq.invalidations;"),
    ]


# A mark of bob's that is older than one of anna's, and is committed only when the refresh has come to its place.
def late(place: str, change: str = LIMITED, seen: str = AGAIN) -> tuple[Step, ...]:
    return bob(change) + anna(seen, COMMIT) + first(place) + bob(COMMIT) + first("hold")


REFRESH = [
    Mutant(
        "marks are compared at millisecond precision",
        anna(AGAIN, COMMIT) + first("end") + bob(LIMITED, COMMIT) + first("hold"),
        UNMARKED,
        altered=deletes_later(
            "date_trunc('milliseconds', i.invalidated_at) <= date_trunc('milliseconds', last_seen)",
            *notes_last("invalidated_at", "timestamptz"),
        ),
        # A clock that goes on by a microsecond a mark.
        given="""
            CREATE SEQUENCE gaq.ticks;
            GRANT USAGE ON gaq.ticks TO gaq_owner;
            ALTER TABLE gaq.invalidations ALTER invalidated_at
                SET DEFAULT timestamptz '2024-03-01 00:00Z' + nextval('gaq.ticks') * interval '1 us';
        """,
    ),
    Mutant(
        "marks are deleted up to the time of the claim",
        late("end"),
        UNMARKED,
        altered=deletes_later("i.invalidated_at <= at"),
    ),
    Mutant(
        "marks are deleted up to the last number seen",
        late("end"),
        UNMARKED,
        altered=deletes_later("i.id <= last_seen", *notes_last("id", "bigint")),
        given="ALTER TABLE gaq.invalidations ADD id bigint GENERATED ALWAYS AS IDENTITY",
    ),
    Mutant(
        "wide marks are expanded up to the last number seen",
        late("fold wide", VERIFIED, "INSERT INTO qc_flag_verifications (flag_id) VALUES (12)"),
        UNMARKED,
        altered={
            "gaq.expand": [
                (
                    "delete from gaq.wide_invalidations where id = any (ids)",
                    "delete from gaq.wide_invalidations where id <= (select max(id) from unnest(ids) id)",
                )
            ]
        },
    ),
    Mutant(
        "pairs are computed before their marks are deleted",
        late("delete"),
        UNMARKED,
        altered={
            "gaq.refresh": [
                (gate("delete"), f"{EARLY}(passes, runs);\n{gate('delete')}"),
                (COMPUTED, COMPUTED_EARLY),
            ]
        },
    ),
    Mutant(
        "pairs are computed before they are claimed",
        late("scan"),
        UNMARKED,
        altered={
            "gaq.refresh": [
                (EXPANDED, f"expanded := gaq.expand();\n{ALL_PAIRS}\n{EARLY}(passes, runs);\nloop"),
                (COMPUTED, COMPUTED_EARLY),
            ]
        },
    ),
    Mutant(
        "pairs are claimed, marks deleted and summaries computed in one statement",
        anna(AGAIN, COMMIT) + second("claim") + bob(LIMITED, COMMIT) + first("hold") + second("hold"),
        UNMARKED,
        sql="one_statement.sql",
    ),
    Mutant(
        "a pair is seeded that another worker has removed",
        anna("DELETE FROM data_pass_runs WHERE run_number = 103", COMMIT)
        + second("seed")
        + first("hold")
        + second("hold"),
        UNMARKED,
        altered={
            "gaq.refresh": [
                (
                    (
                        "and exists (select from gaq.invalidations i         -- (offset 0: by the index, one by one)\n"
                        "                              where i.data_pass_id = m.data_pass_id"
                        " and i.run_number = m.run_number offset 0)"
                    ),
                    "",
                )
            ]
        },
    ),
    Mutant(
        "a pair is seeded that another worker is removing",
        anna("DELETE FROM data_pass_runs WHERE run_number = 103", COMMIT)
        + first("end")
        + anna("INSERT INTO data_pass_runs VALUES (3, 104)", COMMIT)
        + second("hold"),
        WAITS,
        altered={
            "gaq.refresh": [
                (
                    (
                        "where not exists (select from gaq.summaries s\n"
                        "                                  where s.data_pass_id = m.data_pass_id"
                        " and s.run_number = m.run_number)\n                  and exists"
                    ),
                    "where exists",
                )
            ]
        },
    ),
    Mutant(
        "a worker waits for what another has claimed",
        anna(AGAIN, COMMIT) + first("end") + second("hold"),
        WAITS,
        altered={"gaq.refresh": [("for no key update of s skip locked", "for no key update of s")]},
    ),
]

TRIGGERS = [
    Mutant(
        "a trigger skips pairs that are stale already",
        anna(AGAIN, COMMIT) + bob(LIMITED) + first("hold") + bob(COMMIT),
        UNMARKED,
        altered={
            "gaq.mark_qc_flags": [
                (
                    "(table after except table before)) changed;",
                    (
                        "(table after except table before)) changed where not exists (select from gaq.invalidations i"
                        " where (i.data_pass_id, i.run_number) = (changed.data_pass_id, changed.run_number));"
                    ),
                )
            ]
        },
    ),
    Mutant(
        "looks for siblings: two transactions delete one each of a flag's two verifications",
        anna("DELETE FROM qc_flag_verifications WHERE id = 1")
        + bob("DELETE FROM qc_flag_verifications WHERE id = 2")
        + anna(COMMIT)
        + bob(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
    Mutant(
        "looks for siblings: the first verification is deleted while a second is inserted",
        anna("DELETE FROM qc_flag_verifications WHERE id = 3")
        + bob("INSERT INTO qc_flag_verifications (flag_id) VALUES (21)")
        + anna(COMMIT)
        + first("hold")
        + bob(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
    Mutant(
        "looks for pairs: a run's QC time changes while the run enters another data pass",
        anna("UPDATE runs SET last_tf_timestamp = '2024-01-01 05:00Z' WHERE run_number = 101")
        + bob(
            "INSERT INTO data_pass_runs VALUES (3, 101)",
            "INSERT INTO gaq_detectors VALUES (3, 101, 1)",
            'INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id, "to")'
            " VALUES (3, 101, 1, 2, '2024-01-01 03:00Z')",
            COMMIT,
        )
        + first("hold")
        + anna(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
    Mutant(
        "looks for pairs: a type becomes bad while a flag of it enters a pair that had none",
        anna("UPDATE qc_flag_types SET bad = true WHERE id = 4")
        + bob(
            "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES (3, 103, 1, 4)", COMMIT
        )
        + first("hold")
        + anna(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
    Mutant(
        "looks for pairs: a flag is verified while it moves to another run",
        anna("INSERT INTO qc_flag_verifications (flag_id) VALUES (12)")
        + bob("UPDATE qc_flags SET run_number = 102 WHERE id = 12", COMMIT)
        + first("hold")
        + anna(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
]


class DoesNotLook(SteppedBacklog):
    """Falls asleep without the last scan."""

    async def look(self) -> Look:
        await self.stops.stop_at("look")
        return Look(None, None)


class LooksPastClaims(SteppedBacklog):
    """Takes a mark that somebody else has claimed for none."""

    async def look(self) -> Look:
        look = await super().look()
        cursor = await self._connection.execute(
            "SELECT count(*) FROM (SELECT FROM gaq.summaries JOIN gaq.pending USING (data_pass_id, run_number)"
            " FOR NO KEY UPDATE OF summaries SKIP LOCKED) unclaimed"
        )
        return Look(None, None) if await cursor.fetchone() == (0,) else look


class HoldsLate(SteppedDoorbell):
    """Takes the bell when the last scan is over."""

    async def hold(self) -> Bell:
        await self.stops.stop_at("hold")
        return Bell.OURS

    async def wait(self, timeout: float) -> int:
        await self.stops.stop_at("late hold")
        await Doorbell.hold(self)
        return await super().wait(timeout)


class RestsOnAColleague(SteppedDoorbell):
    """Sleeps without a deadline when a colleague has the bell."""

    async def hold(self) -> Bell:
        bell = await super().hold()
        return Bell.OURS if bell is Bell.COLLEAGUES else bell


class ForgetsRings(SteppedDoorbell):
    """Hears only what rings while it waits."""

    async def wait(self, timeout: float) -> int:
        await self.stops.stop_at("forgets")
        self._consume()
        self._rings = 0
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

MUTANTS = REFRESH + TRIGGERS + BELL

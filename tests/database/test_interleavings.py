"""Two writers whose transactions overlap, each change alone well marked: nothing is lost.

A trigger that looks at other tables does lose an invalidation here, because it cannot see what the
other writer has not committed yet. For each of these interleavings that is shown as well, with the
mutants of ``looks_elsewhere.sql``. (What may be lost to a refresh is in
``test_interleavings_refresh.py``.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from psycopg import Connection

from tests.conftest import Connect
from tests.database.altered import alter
from tests.database.world import A, assert_fresh, wrong
from tests.tables import drain, stale

Course: TypeAlias = tuple[Literal["one", "other"], Literal["drain", "no drain"]]
"""Who commits first, and whether a worker drains between the commits."""

COURSES: list[Course] = [
    ("one", "drain"),
    ("one", "no drain"),
    ("other", "drain"),
    ("other", "no drain"),
]


@dataclass(frozen=True)
class Interleaving:
    """Two transactions. Neither sees the other."""

    name: str
    one: str
    other: str
    lost: frozenset[Course] = frozenset()
    """The courses on which a trigger that looks elsewhere loses an invalidation."""

    def run(self, course: Course, worker: Connection[Any], connect: Connect) -> None:
        """Both transactions and what comes between their commits."""
        writers = {"one": connect(), "other": connect()}
        writers["one"].execute(self.one.encode())
        writers["other"].execute(self.other.encode())
        first, drained = course
        writers.pop(first).commit()
        if drained == "drain":
            drain(worker)
        for second in writers.values():
            second.commit()


LOOKS_ELSEWHERE = [
    Interleaving(
        "two transactions delete one each of a flag's two verifications",
        "DELETE FROM qc_flag_verifications WHERE id = 1",
        "DELETE FROM qc_flag_verifications WHERE id = 2",
        lost=frozenset(COURSES),  # each sees the verification that the other deletes
    ),
    Interleaving(
        "the first verification is deleted while a second is inserted",
        "DELETE FROM qc_flag_verifications WHERE id = 3",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (21)",
        lost=frozenset({("one", "drain")}),
    ),
    Interleaving(
        "a run's QC time changes while the run enters another data pass",
        "UPDATE runs SET last_tf_timestamp = '2024-01-01 05:00Z' WHERE run_number = 101",
        "INSERT INTO data_pass_runs VALUES (3, 101); INSERT INTO gaq_detectors VALUES (3, 101, 1);"
        ' INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id, "to")'
        " VALUES (3, 101, 1, 2, '2024-01-01 03:00Z')",
        lost=frozenset({("other", "drain")}),
    ),
    Interleaving(
        "a type becomes bad while a flag of it is inserted into a pair that had none",
        "UPDATE qc_flag_types SET bad = true WHERE id = 4",
        "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES (3, 103, 1, 4)",
        lost=frozenset({("other", "drain")}),
    ),
    Interleaving(
        "a flag is verified while it moves to another run",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (12)",
        "UPDATE qc_flags SET run_number = 102 WHERE id = 12",
        lost=frozenset({("other", "drain")}),
    ),
]

OTHERS = [
    Interleaving(
        "a flag is verified while it is restored",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (71)",
        "UPDATE qc_flags SET deleted = false WHERE id = 71",
    ),
    Interleaving(
        "a flag is verified while its detector comes to matter",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (61)",
        "INSERT INTO gaq_detectors VALUES (1, 102, 3)",
    ),
    Interleaving(
        "a flag loses its verification while it moves to another data pass",
        "DELETE FROM qc_flag_verifications WHERE flag_id = 21",
        "UPDATE qc_flags SET data_pass_id = 2, run_number = 101 WHERE id = 21",
    ),
    Interleaving(
        "a flag is verified while its verification goes over to another flag",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (21)",
        "UPDATE qc_flag_verifications SET flag_id = 31 WHERE id = 3",
    ),
    Interleaving(
        "a type becomes bad while a flag takes it on",
        "UPDATE qc_flag_types SET bad = true WHERE id = 4",
        "UPDATE qc_flags SET flag_type_id = 4 WHERE id = 41",
    ),
    Interleaving(
        "a type becomes good while a detector with a flag of it comes to matter",
        "UPDATE qc_flag_types SET bad = false WHERE id = 2",
        "INSERT INTO gaq_detectors VALUES (1, 102, 3)",
    ),
    Interleaving(
        "a run's QC time changes while the run leaves a data pass",
        "UPDATE runs SET last_tf_timestamp = '2024-01-01 05:00Z' WHERE run_number = 101",
        "DELETE FROM data_pass_runs WHERE (data_pass_id, run_number) = (2, 101)",
    ),
    Interleaving(
        "a run's QC time changes while a flag moves to it",
        "UPDATE runs SET last_tf_timestamp = '2024-01-01 05:00Z' WHERE run_number = 101",
        "UPDATE qc_flags SET run_number = 101, data_pass_id = 2 WHERE id = 61",
    ),
    Interleaving(
        "two flags of one pair change",
        "UPDATE qc_flags SET flag_type_id = 2 WHERE id = 11",
        "UPDATE qc_flags SET flag_type_id = 2 WHERE id = 12",
    ),
    Interleaving(
        "a flag enters a pair that is asked for again",
        "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES (3, 103, 1, 2)",
        "UPDATE gaq_summaries SET invalidated_at = now() WHERE run_number = 103",
    ),
]


def named(interleaving: Interleaving) -> str:
    return interleaving.name


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("interleaving", LOOKS_ELSEWHERE + OTHERS, ids=named)
def test_nothing_is_lost(
    committed: Connection[Any], connect: Connect, interleaving: Interleaving, course: Course
) -> None:
    interleaving.run(course, committed, connect)
    assert wrong(committed) <= stale(committed)
    drain(committed)
    assert_fresh(committed)


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("interleaving", LOOKS_ELSEWHERE, ids=named)
def test_a_trigger_that_looks_elsewhere_loses(
    committed: Connection[Any], connect: Connect, interleaving: Interleaving, course: Course
) -> None:
    """So these courses can fail. Alone, each of the two changes would be marked well."""
    committed.execute((Path(__file__).parent / "looks_elsewhere.sql").read_bytes())
    interleaving.run(course, committed, connect)
    lost = wrong(committed) - stale(committed)
    drain(committed)
    assert wrong(committed) == lost
    assert bool(lost) == (course in interleaving.lost)


@pytest.mark.parametrize("change", ["one", "other"])
@pytest.mark.parametrize("interleaving", LOOKS_ELSEWHERE, ids=named)
def test_a_trigger_that_looks_elsewhere_loses_nothing_alone(
    committed: Connection[Any], interleaving: Interleaving, change: Literal["one", "other"]
) -> None:
    committed.execute((Path(__file__).parent / "looks_elsewhere.sql").read_bytes())
    committed.execute((interleaving.one if change == "one" else interleaving.other).encode())
    assert wrong(committed) <= stale(committed)
    drain(committed)
    assert_fresh(committed)


@pytest.mark.parametrize("skips", [False, True])
def test_a_stale_pair_is_marked_again(committed: Connection[Any], connect: Connect, skips: bool) -> None:
    """A trigger that skips pairs that are stale already loses what it does not mark: the mark that
    was there may be folded before the change is to be seen."""
    if skips:
        alter(
            committed,
            "gaq.mark_qc_flags",
            (
                "(table after except table before)) changed;",
                (
                    "(table after except table before)) changed where not exists (select from gaq.invalidations i"
                    " where (i.data_pass_id, i.run_number) = (changed.data_pass_id, changed.run_number));"
                ),
            ),
        )
    committed.execute("UPDATE qc_flags SET flag_type_id = 3 WHERE id = 12")
    writer = connect()
    writer.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 11")
    drain(committed)
    writer.commit()

    assert wrong(committed) == {A}
    assert stale(committed) == (set() if skips else {A})

"""Two writers whose transactions overlap, each change alone well marked: nothing is lost.

A trigger that looks at other tables does lose an invalidation on some of these courses, because it
cannot see what the other writer has not committed yet: see ``tests/proof/mutants_triggers.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import pytest
from psycopg import Connection

from tests.conftest import Connect
from tests.support.shapes import LINK, Shape, Variant, in_every_shape
from tests.support.small_world import assert_fresh, live_wrong, wrong
from tests.support.tables import drain, stale

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
    one: str | Variant[str]
    other: str | Variant[str]

    def run(self, shape: Shape, course: Course, worker: Connection[Any], connect: Connect) -> None:
        """Both transactions and what comes between their commits."""
        writers = {"one": connect(), "other": connect()}
        writers["one"].execute(shape.of(self.one).encode())
        writers["other"].execute(shape.of(self.other).encode())
        first, drained = course
        writers.pop(first).commit()
        if drained == "drain":
            drain(worker)
        for second in writers.values():
            second.commit()


INTERLEAVINGS = [
    Interleaving(
        "two transactions delete one each of a flag's two verifications",
        "DELETE FROM qc_flag_verifications WHERE id = 1",
        "DELETE FROM qc_flag_verifications WHERE id = 2",
    ),
    Interleaving(
        "the first verification is deleted while a second is inserted",
        "DELETE FROM qc_flag_verifications WHERE id = 3",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (21)",
    ),
    Interleaving(
        "a run's QC time changes while the run enters another data pass",
        "UPDATE runs SET last_tf_timestamp = '2024-01-01 05:00Z' WHERE run_number = 101",
        "INSERT INTO data_pass_runs VALUES (3, 101); INSERT INTO gaq_detectors VALUES (3, 101, 1);"
        ' INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id, "to")'
        " VALUES (3, 101, 1, 2, '2024-01-01 03:00Z')",
    ),
    Interleaving(
        "a type becomes bad while a flag of it is inserted into a pair that had none",
        "UPDATE qc_flag_types SET bad = true WHERE id = 4",
        "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES (3, 103, 1, 4)",
    ),
    Interleaving(
        "a flag is verified while it moves to another run",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (12)",
        "UPDATE qc_flags SET run_number = 102 WHERE id = 12",
    ),
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
        Variant(
            "UPDATE qc_flags SET data_pass_id = 2, run_number = 101 WHERE id = 21",
            f"UPDATE {LINK} SET data_pass_id = 2 WHERE quality_control_flag_id = 21;"
            " UPDATE qc_flags SET run_number = 101 WHERE id = 21",
        ),
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
        Variant(
            "UPDATE qc_flags SET run_number = 101, data_pass_id = 2 WHERE id = 61",
            "UPDATE qc_flags SET run_number = 101 WHERE id = 61;"
            f" UPDATE {LINK} SET data_pass_id = 2 WHERE quality_control_flag_id = 61",
        ),
    ),
    Interleaving(
        "a run's end comes earlier while the application keeps the bounds of its flags",
        "UPDATE runs SET last_tf_timestamp = '2024-01-01 05:30Z' WHERE run_number = 101",
        """UPDATE qc_flags SET "to" = null WHERE run_number = 101 AND "to" >= '2024-01-01 05:30Z';"""
        " UPDATE qc_flags SET deleted = true WHERE id = 12",
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


@in_every_shape
@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("interleaving", INTERLEAVINGS, ids=named)
def test_nothing_is_lost(
    committed: Connection[Any], connect: Connect, shape: Shape, interleaving: Interleaving, course: Course
) -> None:
    interleaving.run(shape, course, committed, connect)
    assert wrong(committed) <= stale(committed)
    assert live_wrong(committed) == set()
    drain(committed)
    assert_fresh(committed)

"""Flags that are linked to their data pass: neither the flag nor the link tells the pair, and both change at once.

Two mutants show that these courses can lose an invalidation: triggers that look up the other half, and an expansion
that looks for it in the tables alone and not in the marks as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from psycopg import Connection

from tests.conftest import Connect
from tests.database.test_interleavings import COURSES, Course, Interleaving, named
from tests.support.altered_functions import replaced
from tests.support.shapes import BOOKKEEPING, LINK, Shape
from tests.support.small_world import A, B, C, assert_fresh, marks, wrong
from tests.support.tables import drain, stale

pytestmark = pytest.mark.parametrize("shape", [BOOKKEEPING], indirect=True, ids=["bookkeeping"])

OF_12 = "quality_control_flag_id = 12"

# Flag 12 is of A, 21 of B, 71 is deleted and of A, 51 is linked to no data pass.
INTERLEAVINGS = [
    Interleaving(
        "a flag moves to another run while it is linked",
        "UPDATE qc_flags SET run_number = 102 WHERE id = 51",
        f"INSERT INTO {LINK} VALUES (1, 51)",
    ),
    Interleaving(
        "a flag is deleted while it is linked",
        "UPDATE qc_flags SET deleted = true WHERE id = 51",
        f"INSERT INTO {LINK} VALUES (1, 51)",
    ),
    Interleaving(
        "a flag is restored while it is linked to one more data pass",
        "UPDATE qc_flags SET deleted = false WHERE id = 71",
        f"INSERT INTO {LINK} VALUES (2, 71)",
    ),
    Interleaving(
        "a flag takes on another type while it is linked",
        "UPDATE qc_flags SET flag_type_id = 3 WHERE id = 51",
        f"INSERT INTO {LINK} VALUES (1, 51)",
    ),
    Interleaving(
        "a flag moves to another run while its link is removed",
        "UPDATE qc_flags SET run_number = 102 WHERE id = 12",
        f"DELETE FROM {LINK} WHERE {OF_12}",
    ),
    Interleaving(
        "a flag is deleted while its link is removed",
        "UPDATE qc_flags SET deleted = true WHERE id = 12",
        f"DELETE FROM {LINK} WHERE {OF_12}",
    ),
    Interleaving(
        "a flag moves to another run while its link goes over to another data pass",
        "UPDATE qc_flags SET run_number = 101 WHERE id = 21",
        f"UPDATE {LINK} SET data_pass_id = 2 WHERE quality_control_flag_id = 21",
    ),
    Interleaving(
        "a flag is deleted while its link goes over to another flag",
        "UPDATE qc_flags SET deleted = true WHERE id = 12",
        f"UPDATE {LINK} SET quality_control_flag_id = 51 WHERE {OF_12}",
    ),
    Interleaving(
        "a flag is verified while it is linked",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (51)",
        f"INSERT INTO {LINK} VALUES (1, 51)",
    ),
    Interleaving(
        "a type becomes good while a flag of it is linked",
        "UPDATE qc_flag_types SET bad = false WHERE id = 2",
        f"INSERT INTO {LINK} VALUES (1, 51)",
    ),
    Interleaving(
        "a type becomes bad while a flag of it loses its link",
        "UPDATE qc_flag_types SET bad = true WHERE id = 1",
        f"DELETE FROM {LINK} WHERE {OF_12}",
    ),
    Interleaving(
        "a run's QC time changes while a flag of it is linked",
        "UPDATE runs SET last_tf_timestamp = '2024-01-01 05:00Z' WHERE run_number = 101",
        f"INSERT INTO {LINK} VALUES (1, 51)",
    ),
    Interleaving(
        "a run enters a data pass while a flag of it is linked",
        "INSERT INTO data_pass_runs VALUES (3, 101); INSERT INTO gaq_detectors VALUES (3, 101, 1)",
        f"INSERT INTO {LINK} VALUES (3, 51)",
    ),
]


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("interleaving", INTERLEAVINGS, ids=named)
def test_nothing_is_lost(
    committed: Connection[Any], connect: Connect, shape: Shape, interleaving: Interleaving, course: Course
) -> None:
    interleaving.run(shape, course, committed, connect)
    assert wrong(committed) <= stale(committed)
    drain(committed)
    assert_fresh(committed)


def without_memory(committed: Connection[Any]) -> None:
    """Other halves are looked for in the tables alone."""
    row = committed.execute("SELECT pg_get_viewdef('gaq.source_invalidations')").fetchone()
    assert row is not None
    view = replaced(row[0], ("m.kind = 'flag in data pass'::text", "false"), ("m.kind = 'flag in run'::text", "false"))
    committed.execute(f"CREATE OR REPLACE VIEW gaq.source_invalidations AS {view}".encode())


def looks_for_links(committed: Connection[Any]) -> None:
    """Triggers look for the other half."""
    committed.execute((Path(__file__).parent / "looks_for_links.sql").read_bytes())


def lost(mutant: Any, courses: list[Course], *interleavings: Interleaving) -> list[Any]:
    return [
        pytest.param(mutant, interleaving, course, id=f"{mutant.__name__}-{interleaving.name}-{' '.join(course)}")
        for interleaving in interleavings
        for course in courses
    ]


@pytest.mark.parametrize(
    ("mutant", "interleaving", "course"),
    [
        *lost(without_memory, [("one", "no drain"), ("other", "no drain")], *INTERLEAVINGS[4:7]),
        *lost(looks_for_links, [("other", "drain")], *INTERLEAVINGS[:4]),
        *lost(looks_for_links, [("one", "drain")], INTERLEAVINGS[4]),
    ],
)
def test_a_mutant_loses(
    committed: Connection[Any], connect: Connect, shape: Shape, mutant: Any, interleaving: Interleaving, course: Course
) -> None:
    mutant(committed)
    interleaving.run(shape, course, committed, connect)
    lost = wrong(committed) - stale(committed)
    assert lost
    drain(committed)
    assert wrong(committed) >= lost


def test_the_pair_is_stale_from_the_link_on(committed: Connection[Any]) -> None:
    """As the application does it: the flag first, and a statement or a transaction later the link."""
    committed.execute("INSERT INTO qc_flags (id, run_number, detector_id, flag_type_id) VALUES (91, 101, 1, 2)")
    assert stale(committed) == set()
    drain(committed)
    assert marks(committed) == (0, 0)
    committed.execute(f"INSERT INTO {LINK} VALUES (1, 91)")
    assert stale(committed) == {A}
    drain(committed)
    assert_fresh(committed)


def test_marks_that_are_expanded_one_by_one_lose_nothing(committed: Connection[Any]) -> None:
    """Of two halves that are gone, the first mark that is read still finds the other one's."""
    for statement in (f"DELETE FROM {LINK} WHERE {OF_12}", "UPDATE qc_flags SET run_number = 102 WHERE id = 12"):
        committed.execute(statement.encode())
    assert stale(committed) == {A, B}
    for left in (2, 1, 0):
        committed.execute("SELECT gaq.expand(1)")
        assert marks(committed)[1] == left
        assert A in stale(committed)
    drain(committed)
    assert_fresh(committed)


def test_a_worker_that_has_not_committed_hides_nothing(committed: Connection[Any], connect: Connect) -> None:
    """It has folded one half's mark; the other half goes meanwhile."""
    committed.execute(f"UPDATE {LINK} SET data_pass_id = 2 WHERE {OF_12}")
    worker = connect()
    worker.execute("SELECT FROM gaq.refresh()")
    committed.execute("UPDATE qc_flags SET run_number = 102 WHERE id = 12")
    assert wrong(committed) <= stale(committed)
    assert {A, C} <= stale(committed)
    worker.commit()
    assert wrong(committed) <= stale(committed)
    drain(committed)
    assert_fresh(committed)

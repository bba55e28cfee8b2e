"""Draw the transactions of two writers: they change the same pairs, but never the same rows.

So neither ever waits for the other. Most changes concern one pair, so that they meet. The names are those of
``tests/support/small_world.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from tests.proof.stage import Say

OWN: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "anna": {
        "flag": (11, 11, 11, 21, 31, 41, 61),
        "verification": (1, 3),
        "type": (1, 4),
        "run": (101,),
        "entry": ((3, 103), (2, 102)),
        "detector": (1, 3),
    },
    "bob": {
        "flag": (12, 12, 13, 13, 22, 32, 71),
        "verification": (2,),
        "type": (2, 3),
        "run": (102, 103),
        "entry": ((1, 101), (1, 102), (2, 101), (3, 101)),
        "detector": (2, 4),
    },
}
"""The rows that each writer may change."""

ANY: Mapping[str, Sequence[Any]] = {
    "writer": ("anna", "bob"),
    "a_flag": (11, 12, 11, 12, 21, 22, 31, 32, 41),
    "a_type": (1, 2, 3, 4),
    "a_run": (101, 101, 101, 102, 103),
    "a_pass": (1, 1, 1, 2, 3),
    "a_pair": ((1, 101), (1, 102), (2, 101), (3, 103), (2, 102), (3, 101)),
    "hour": ("2024-01-01 03:00Z", "2024-01-01 07:00Z", "2024-01-02 04:00Z", "2024-01-03 04:00Z"),
}

CHANGES = (
    "UPDATE qc_flags SET flag_type_id = <a_type> WHERE id = <flag>",
    "UPDATE qc_flags SET run_number = <a_run> WHERE id = <flag>",
    "UPDATE qc_flags SET data_pass_id = <a_pass>, run_number = <a_run> WHERE id IN (<flag>, <flag>)",
    "UPDATE qc_flags SET deleted = not deleted WHERE id = <flag>",
    "UPDATE qc_flags SET \"to\" = '<hour>' WHERE id = <flag>",
    (
        "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id, created_by)"
        " VALUES (<a_pass>, <a_run>, <detector>, <a_type>, '<me>')"
    ),
    "DELETE FROM qc_flags WHERE created_by = '<me>'",
    "INSERT INTO qc_flag_verifications (flag_id, created_by) VALUES (<a_flag>, '<me>')",
    "UPDATE qc_flag_verifications SET flag_id = <a_flag> WHERE id = <verification>",
    "DELETE FROM qc_flag_verifications WHERE id = <verification>",
    "DELETE FROM qc_flag_verifications WHERE created_by = '<me>'",
    "INSERT INTO gaq_detectors SELECT p, r, <detector> FROM (VALUES <a_pair>) v (p, r) ON CONFLICT DO NOTHING",
    "DELETE FROM gaq_detectors WHERE (data_pass_id, run_number) = <a_pair> AND detector_id = <detector>",
    "INSERT INTO data_pass_runs VALUES <entry> ON CONFLICT DO NOTHING",
    "DELETE FROM data_pass_runs WHERE (data_pass_id, run_number) = <entry>",
    "UPDATE runs SET last_tf_timestamp = '<hour>' WHERE run_number = <run>",
    "UPDATE runs SET first_tf_timestamp = null, time_trg_start = null WHERE run_number = <run>",
    "UPDATE qc_flag_types SET bad = not bad WHERE id = <type>",
    "UPDATE qc_flag_types SET mc_reproducible = not mc_reproducible WHERE id = <type>",
    "UPDATE gaq_summaries SET invalidated_at = now() WHERE run_number = <a_run>",
)


@st.composite
def changes(draw: st.DrawFn, writer: str) -> str:
    """Draw a statement of this writer."""
    names = {**ANY, **OWN[writer], "me": (writer,)}
    return re.sub(r"<(\w+)>", lambda name: str(draw(st.sampled_from(names[name[1]]))), draw(st.sampled_from(CHANGES)))


@st.composite
def transactions(draw: st.DrawFn, writer: str) -> list[Say]:
    """Draw a transaction: a few statements, some after a savepoint that is rolled back or released, and the end."""
    statements = draw(st.lists(changes(writer), min_size=1, max_size=3))
    if draw(st.booleans()):
        parts = draw(st.lists(changes(writer), min_size=1, max_size=2))
        end = draw(st.sampled_from(["ROLLBACK TO here", "ROLLBACK TO here", "RELEASE here"]))
        where = draw(st.integers(0, len(statements)))
        statements[where:where] = ["SAVEPOINT here", *parts, end]
    end = draw(st.sampled_from(["COMMIT", "COMMIT", "COMMIT", "COMMIT", "ROLLBACK"]))
    return [Say(writer, statement) for statement in [*statements, end]]


def programs(writer: str) -> st.SearchStrategy[list[Say]]:
    """Draw the transactions of a writer."""
    return st.lists(transactions(writer), min_size=1, max_size=4).map(
        lambda drawn: [step for transaction in drawn for step in transaction]
    )

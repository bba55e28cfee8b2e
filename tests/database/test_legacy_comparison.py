"""verify --original: the golden cases, as the original system had stored them, against what is computed here."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.adoption import legacy_comparison
from gaq_listen.adoption.legacy_reasons import Reason
from gaq_listen.cli.main import main
from gaq_listen.dba.scripts import script
from gaq_listen.errors import GaqListenError
from tests.adoption.test_legacy_reasons import WHY
from tests.conftest import where
from tests.database.test_adoption import install
from tests.database.test_golden import key
from tests.support.golden_cases import scenarios
from tests.support.shapes import BOOKKEEPING, LINK, Shape
from tests.support.tables import drain, insert

pytestmark = pytest.mark.parametrize("shape", [BOOKKEEPING], indirect=True, ids=["bookkeeping"])

TABLE = """
CREATE TABLE gaq_summaries (
    data_pass_id int, run_number int, bad_run_coverage real, explicitly_not_bad_run_coverage real,
    mc_reproducible_coverage real, missing_verifications_count int, undefined_quality_periods_count int,
    not_computable bool, invalidated_at timestamptz,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(),
    PRIMARY KEY (data_pass_id, run_number))
"""
COPY = """
COPY gaq_summaries (data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
                    mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
                    not_computable)
FROM STDIN
"""
CASES = {key(number): case for number, case in enumerate(scenarios())}


@pytest.fixture
def taken_over(bare_db: Connection[Any], shape: Shape) -> Connection[Any]:
    """A database that was taken over just now, with what the original system had stored of each case."""
    insert(bare_db, {pair: case.pair for pair, case in CASES.items()})
    bare_db.execute(TABLE.encode())
    with bare_db.cursor() as cursor, cursor.copy(COPY) as copy:
        for pair, case in CASES.items():
            found = case.original or case.expected
            copy.write_row(
                (
                    *pair,
                    found.bad,
                    found.not_bad,
                    found.mcr,
                    found.missing_verifications,
                    found.undefined_quality_periods,
                    found.not_computable,
                )
            )
    install(bare_db, shape)
    return bare_db


def told(connection: Connection[Any]) -> tuple[dict[tuple[int, int], Reason], legacy_comparison.LegacyComparison]:
    found = {}
    with psycopg.connect(where(connection), autocommit=True) as reader:
        reader.execute("SET default_transaction_read_only = on")
        outcome = legacy_comparison.compare(
            reader, lambda differs, why: found.update({(differs.data_pass_id, differs.run_number): why})
        )
    return found, outcome


def test_each_case_has_its_reason(taken_over: Connection[Any]) -> None:
    found, outcome = told(taken_over)
    assert {pair: found.get(pair, Reason.AGREES) for pair in CASES} == {p: WHY[case.why] for p, case in CASES.items()}
    assert outcome.reasons == Counter(WHY[case.why] for case in CASES.values())
    assert outcome.good

    # The table is kept, so it can be compared at any time.
    taken_over.execute("UPDATE gaq_summaries SET invalidated_at = now()")
    drain(taken_over)
    assert told(taken_over)[0] == found


def test_what_happened_since_is_a_reason(taken_over: Connection[Any]) -> None:
    good = [pair for pair, case in CASES.items() if not case.original and case.expected.not_bad][:4]
    (flagged, drained, left, wrong) = good
    for pair in (flagged, drained):
        taken_over.execute("DELETE FROM gaq_detectors WHERE (data_pass_id, run_number) = (%s, %s)", pair)
        if pair == flagged:
            drain(taken_over)
    taken_over.execute("DELETE FROM data_pass_runs WHERE (data_pass_id, run_number) = (%s, %s)", left)
    taken_over.execute(
        "UPDATE gaq_summaries_original SET missing_verifications_count = 77"
        " WHERE (data_pass_id, run_number) = (%s, %s)",
        wrong,
    )
    found, outcome = told(taken_over)
    assert found[flagged] is found[drained] is Reason.CHANGED
    assert found[left] is Reason.LEFT
    assert [pair for pair, why in found.items() if why is Reason.UNEXPLAINED] == [wrong]
    assert not outcome.good


def test_the_command(taken_over: Connection[Any]) -> None:
    answer = CliRunner().invoke(main, ["verify", "--original", "--dsn", where(taken_over)])
    assert answer.exit_code == 0, answer.output
    assert f"    because: {Reason.OUTSIDE.value}" in answer.stdout
    assert answer.stdout.splitlines()[-5].split("  ")[-1] == Reason.AGREES.value
    taken_over.execute("UPDATE gaq_summaries_original SET missing_verifications_count = 77 WHERE NOT not_computable")
    answer = CliRunner().invoke(main, ["verify", "--original", "--dsn", where(taken_over)])
    assert answer.exit_code == 1
    assert Reason.UNEXPLAINED.value in answer.stdout


def hour(number: float) -> str:
    return f"'2024-01-01 00:00Z'::timestamptz + {number} * interval '1 h'"


@pytest.mark.parametrize(
    ("window", "kept", "good", "undefined", "why"),
    [
        ([7], (None, 8), 8 / 7, 0, Reason.OUTDATED),
        ([4], (None, 5), 1.25, 0, Reason.OUTDATED),
        ([4, 10], (None, 5), 0.5, 1, Reason.OUTDATED),
        # Somebody deleted the later flag: then the application computes the earlier one's periods anew.
        ([4, 10], (None, None), 0.5, 1, Reason.UNEXPLAINED),
        ([4, 10], (None, 5), 1.0, 0, Reason.AGREES),
    ],
)
def test_a_period_that_a_deleted_flag_still_bounds(
    bare_db: Connection[Any],
    shape: Shape,
    window: list[float],
    kept: tuple[float | None, float | None],
    good: float,
    undefined: int,
    why: Reason,
) -> None:
    """A flag for the whole run, a later one for its end, and a run that became shorter: the later flag is deleted."""
    bare_db.execute(script("bookkeeping_boundaries").encode())
    begins = kept[1] or 5
    bare_db.execute(
        "INSERT INTO detectors (id, name) VALUES (1, 'ITS'); INSERT INTO data_passes (id, name) VALUES (1, 'apass1');"
        "INSERT INTO qc_flag_types (id, name, bad) VALUES (1, 'Good', false);"
        f"INSERT INTO runs (run_number, time_o2_start, time_o2_end) VALUES (7, {hour(0)}, {hour(10)});"
        "INSERT INTO data_pass_runs (data_pass_id, run_number) VALUES (1, 7);"
        "INSERT INTO gaq_detectors (data_pass_id, run_number, detector_id) VALUES (1, 7, 1)"
    )
    for number, starts in ((1, "null"), (2, hour(begins))):
        bare_db.execute(
            'INSERT INTO quality_control_flags (id, "from", run_number, detector_id, flag_type_id, created_at)'
            f" VALUES ({number}, {starts}, 7, 1, 1, {hour(number)});"
            f"INSERT INTO {LINK} (data_pass_id, quality_control_flag_id) VALUES (1, {number});"
            f"INSERT INTO quality_control_flag_verifications (flag_id) VALUES ({number});"
        )
    ends = "null" if kept[1] is None else hour(kept[1])
    bare_db.execute(
        'INSERT INTO quality_control_flag_effective_periods (flag_id, "from", "to") VALUES'
        f" (1, null, {ends}), (2, {hour(begins)}, null)"
    )
    for end in window:
        bare_db.execute(f"UPDATE runs SET time_o2_end = {hour(end)}".encode())
    assert bare_db.execute("SELECT id FROM quality_control_flags WHERE deleted").fetchall() == [(2,)]
    bare_db.execute(TABLE.encode())
    bare_db.execute("INSERT INTO gaq_summaries VALUES (1, 7, 0, %s, 0, 0, %s, false)", (good, undefined))
    install(bare_db, shape)
    found, outcome = told(bare_db)
    assert found == ({} if why is Reason.AGREES else {(1, 7): why})
    assert outcome.good == (why is not Reason.UNEXPLAINED)


def test_pairs_that_were_never_computed_are_told_in_one_line(taken_over: Connection[Any]) -> None:
    taken_over.execute(
        "UPDATE gaq_summaries_original SET not_computable = false, bad_run_coverage = null,"
        " explicitly_not_bad_run_coverage = null, mc_reproducible_coverage = null"
    )
    answer = CliRunner().invoke(main, ["verify", "--original", "--dsn", where(taken_over)])
    assert answer.exit_code == 0, answer.output
    first, *rest = answer.stdout.splitlines()
    assert first.startswith("never computed by the application: ")
    assert first.endswith(f" and {len(CASES) - 5} more")
    assert len(rest) == 2


def test_nothing_to_compare_with(db: Connection[Any]) -> None:
    with pytest.raises(GaqListenError, match="adopted no table gaq_summaries"):
        legacy_comparison.count_summaries(db)

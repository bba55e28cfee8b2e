"""verify --original: the golden cases, as the original system had stored them, against what is computed here."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.cli import main
from gaq_listen.errors import GaqListenError
from gaq_listen.operating import originals
from gaq_listen.operating.reasons import Reason
from tests.conftest import where
from tests.database.test_golden import key
from tests.database.test_original import install
from tests.golden_cases import scenarios
from tests.shapes import BOOKKEEPING, Shape
from tests.tables import drain, insert
from tests.unit.test_reasons import WHY

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


def told(connection: Connection[Any]) -> tuple[dict[tuple[int, int], Reason], originals.Outcome]:
    found = {}
    with psycopg.connect(where(connection), autocommit=True) as reader:
        reader.execute("SET default_transaction_read_only = on")
        outcome = originals.compare(
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


def test_nothing_to_compare_with(db: Connection[Any]) -> None:
    with pytest.raises(GaqListenError, match="no table gaq_summaries was taken over"):
        originals.count(db)

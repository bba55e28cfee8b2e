"""gaq.detector_qualities: what each detector that matters was, run by run."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.reports.explain import read as explain
from gaq_listen.reports.quality import Quality
from gaq_listen.reports.show import read
from tests.conftest import Connect
from tests.database.test_rights import reader as reader
from tests.support.golden_cases import scenarios
from tests.support.shapes import in_every_shape
from tests.support.tables import insert

QUALITIES = "SELECT run_number, detector, good, mc_reproducible, bad FROM gaq.detector_qualities(%s, %s)"


@in_every_shape
def test_of_the_world(committed: Connection[Any]) -> None:
    assert committed.execute(QUALITIES, (1, [102, 101, 101, 104, 999])).fetchall() == [
        (101, "ITS", pytest.approx(8 / 9), 0.0, pytest.approx(1 / 9)),
        (101, "TPC", 1.0, 0.0, 0.0),
        (102, "ITS", 1.0, 0.0, 0.0),
        (102, "TPC", 0.0, 0.5, 0.0),
    ]


@in_every_shape
def test_they_are_what_explain_draws(db: Connection[Any], connect: Connect) -> None:
    pairs = {(1, 500_000 + number): case.pair for number, case in enumerate(scenarios()[:80])}
    insert(db, pairs)
    asking = connect(autocommit=True)
    asking.execute("SET timezone = 'UTC'")
    found = read(asking, 1, "p", detectors=True).detectors
    assert len(found) > 80
    explained = {run_number: explain(asking, 1, "p", run_number) for run_number in {each.run_number for each in found}}
    for each in found:
        pair = explained[each.run_number]
        assert pair.window is not None
        whole = (pair.window[1] - pair.window[0]).total_seconds()
        for quality in (Quality.GOOD, Quality.MC_REPRODUCIBLE, Quality.BAD):
            spans = [
                span
                for flag in pair.flags
                if flag.detector == each.detector and flag.quality is quality
                for span in flag.effective
            ]
            length = sum((end - start).total_seconds() for start, end in spans)
            assert each.shares[quality] == pytest.approx(length / whole), (each, quality)


def test_a_reader_may_ask_and_a_policy_is_an_error(period: Connection[Any], reader: Connection[Any]) -> None:
    assert len(reader.execute(QUALITIES, (1, [501])).fetchall()) == 2
    period.execute("alter table qc_flags enable row level security")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        reader.execute(QUALITIES, (1, [501]))

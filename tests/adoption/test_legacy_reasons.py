"""Check the reasons for differences between an application's summary and ours, with the golden cases and others."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from gaq_listen.adoption.legacy_reasons import PairFacts, Reason, agree, reason
from gaq_listen.reports.summary_values import SummaryValues
from tests.support.golden_cases import Scenario, scenarios
from tests.support.model import Instant, Pair, Summary

# The reason for each explanation in the golden cases.
WHY = {
    "": Reason.AGREES,
    "the original stores 0/0/0 for a run whose QC start or end is unknown; here the coverage is unknown too, so not"
    " computable": Reason.RUN_TIMES,
    "every flag is deleted: not computable": Reason.DELETED,
    "the original counts time outside the run; here every flag is clipped to the run": Reason.OUTSIDE,
    "run of no or negative length: not computable": Reason.RUN_LENGTH,
}
GOOD = SummaryValues(0.0, 1.0, 0.0, 0, 0, False)
BAD = SummaryValues(1.0, 0.0, 0.0, 0, 0, False)
NONE = SummaryValues(None, None, None, None, None, True)
PLAIN = PairFacts(True, False, False, True, True, True, False)


def values(summary: Summary) -> SummaryValues:
    return SummaryValues(
        summary.bad,
        summary.not_bad,
        summary.mcr,
        summary.missing_verifications,
        summary.undefined_quality_periods,
        summary.not_computable,
    )


def facts(pair: Pair) -> PairFacts:
    start, end = pair.qc_time_start, pair.qc_time_end
    known = start is not None and end is not None and math.isfinite(start) and math.isfinite(end)
    flags = [flag for flag in pair.flags if not flag.deleted]
    bounds: list[Instant | None] = [
        bound for flag in flags if flag.detector_id in pair.gaq_detectors for bound in (flag.from_, flag.to)
    ]
    return PairFacts(
        exists=True,
        invalidated=False,
        changed=False,
        bounds_known=known,
        has_length=start is not None and end is not None and start < end,
        has_flags=bool(flags),
        reaches_outside=any(
            bound is not None and start is not None and end is not None and not start <= bound <= end
            for bound in bounds
        ),
    )


@pytest.mark.parametrize("case", [case for case in scenarios() if case.original], ids=lambda case: case.id)
def test_each_golden_difference_has_its_reason(case: Scenario) -> None:
    assert case.original is not None
    assert reason(values(case.original), values(case.expected), facts(case.pair)) is WHY[case.why]


def test_each_reason_of_the_golden_cases_is_known() -> None:
    assert {case.why for case in scenarios()} == WHY.keys()


@pytest.mark.parametrize("case", [case for case in scenarios()[::10] if not case.original], ids=lambda case: case.id)
def test_golden_cases_without_a_difference_agree(case: Scenario) -> None:
    ours = values(case.expected)
    bad, good, mc_reproducible = (value and float(f"{value:.6g}") for value in ours.coverages)
    theirs = replace(ours, bad=bad, good=good, mc_reproducible=mc_reproducible)
    assert reason(theirs, ours, facts(case.pair)) is Reason.AGREES


@pytest.mark.parametrize(
    ("theirs", "ours", "known", "why"),
    [
        (GOOD, GOOD, PLAIN, Reason.AGREES),
        (NONE, NONE, PLAIN, Reason.AGREES),
        (replace(GOOD, not_computable=True), NONE, PLAIN, Reason.AGREES),
        (GOOD, GOOD, replace(PLAIN, exists=False), Reason.LEFT),
        (replace(NONE, not_computable=None), GOOD, PLAIN, Reason.NEVER),
        (BAD, GOOD, replace(PLAIN, invalidated=True), Reason.STALE),
        (GOOD, GOOD, replace(PLAIN, invalidated=True), Reason.AGREES),
        (BAD, GOOD, replace(PLAIN, changed=True), Reason.CHANGED),
        (BAD, GOOD, replace(PLAIN, reaches_outside=True), Reason.OUTSIDE),
        (BAD, GOOD, PLAIN, Reason.UNEXPLAINED),
        (replace(GOOD, missing_verifications=1), GOOD, PLAIN, Reason.UNEXPLAINED),
        (NONE, GOOD, PLAIN, Reason.UNEXPLAINED),
        (NONE, GOOD, replace(PLAIN, reaches_outside=True), Reason.UNEXPLAINED),
        # a reason explains what it explains, and nothing else
        (GOOD, NONE, replace(PLAIN, bounds_known=False, has_length=False), Reason.UNEXPLAINED),
        (GOOD, NONE, replace(PLAIN, has_flags=False), Reason.UNEXPLAINED),
        (GOOD, NONE, replace(PLAIN, has_length=False), Reason.UNEXPLAINED),
        (GOOD, NONE, PLAIN, Reason.UNEXPLAINED),
    ],
)
def test_a_fact_explains_only_its_difference(
    theirs: SummaryValues, ours: SummaryValues, known: PairFacts, why: Reason
) -> None:
    assert reason(theirs, ours, known) is why
    assert why.expected == (why is not Reason.UNEXPLAINED)


@pytest.mark.parametrize(("theirs", "same"), [(0.3333333, True), (0.333336, False), (0.3333, False)])
def test_sums_of_32_bit_floats_agree_within_precision(theirs: float, same: bool) -> None:
    assert agree(replace(GOOD, bad=theirs), replace(GOOD, bad=1 / 3)) is same

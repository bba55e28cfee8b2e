"""The model gives the expected summary for each golden case, and for each rule of the definition."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count

import pytest

from tests.support.golden_cases import RunTimeChange, Scenario, run_time_changes, scenarios
from tests.support.model import NOT_COMPUTABLE, Flag, FlagType, Instant, Pair, Summary, summary

GOOD = FlagType(1, bad=False, mc_reproducible=False)
BAD = FlagType(2, bad=True, mc_reproducible=False)
LIMITED = FlagType(3, bad=True, mc_reproducible=True)
MCR_ONLY = FlagType(4, bad=False, mc_reproducible=True)

ITS, TPC, ZDC = 1, 2, 3
ids = count(1)


def flag(
    detector: int,
    flag_type: FlagType,
    from_: Instant | None = None,
    to: Instant | None = None,
    *,
    created_at: Instant | None = None,
    deleted: bool = False,
    verified: int = 1,
) -> Flag:
    """Make a flag. By default, it is created later than all flags before, so it wins over them."""
    flag_id = next(ids)
    created = flag_id if created_at is None else created_at
    return Flag(flag_id, detector, flag_type.id, from_, to, deleted, created, verified)


def run(*flags: Flag, detectors: tuple[int, ...] = (ITS,)) -> Pair:
    """Make a pair whose run lasts from 1000 to 1100, so that a unit of time is a coverage of 0.01."""
    return Pair(1000, 1100, detectors, (GOOD, BAD, LIMITED, MCR_ONLY), flags)


def expect(
    pair: Pair,
    *,
    bad: float = 0.0,
    mcr: float = 0.0,
    not_bad: float = 0.0,
    missing_verifications: int = 0,
    undefined: int = 0,
) -> None:
    expected = Summary(bad, mcr, not_bad, missing_verifications, undefined, False)
    assert summary(pair) == expected


@pytest.mark.parametrize("case", scenarios(), ids=lambda case: case.id)
def test_golden_scenario(case: Scenario) -> None:
    assert summary(case.pair).differences(case.expected) == {}


@pytest.mark.parametrize("case", run_time_changes(), ids=lambda case: case.id)
def test_golden_run_times(case: RunTimeChange) -> None:
    assert summary(case.before).differences(case.expected_before) == {}
    assert summary(case.after).differences(case.expected_after) == {}


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (None, 1100),
        (1000, None),
        (None, None),
        (-math.inf, 1100),
        (1000, math.inf),
        (math.inf, math.inf),
        (1000, 1000),
        (1100, 1000),
    ],
)
def test_run_without_a_length_is_not_computable(start: Instant | None, end: Instant | None) -> None:
    pair = replace(run(flag(ITS, GOOD)), qc_time_start=start, qc_time_end=end)
    assert summary(pair) == NOT_COMPUTABLE


def test_pair_without_gaq_detectors_is_not_computable() -> None:
    assert summary(run(flag(ITS, GOOD), detectors=())) == NOT_COMPUTABLE


def test_pair_without_flags_is_not_computable() -> None:
    assert summary(run()) == NOT_COMPUTABLE


def test_pair_with_only_deleted_flags_is_not_computable() -> None:
    assert summary(run(flag(ITS, GOOD, deleted=True))) == NOT_COMPUTABLE


def test_flag_of_any_detector_makes_a_pair_computable() -> None:
    expect(run(flag(ZDC, BAD)), undefined=1)


def test_flag_outside_the_run_makes_a_pair_computable() -> None:
    expect(run(flag(ITS, BAD, 1200, 1300)), undefined=1)


def test_each_quality_has_its_coverage() -> None:
    expect(
        run(
            flag(ITS, BAD, 1000, 1010),
            flag(ITS, LIMITED, 1010, 1030),
            flag(ITS, MCR_ONLY, 1030, 1050),
            flag(ITS, GOOD, 1050, 1100),
        ),
        bad=0.1,
        mcr=0.4,
        not_bad=0.5,
    )


def test_bad_detector_outweighs_a_mc_reproducible_one() -> None:
    expect(run(flag(ITS, BAD), flag(TPC, LIMITED), detectors=(ITS, TPC)), bad=1.0)


def test_mc_reproducible_detector_outweighs_a_good_one() -> None:
    expect(run(flag(ITS, LIMITED), flag(TPC, GOOD), detectors=(ITS, TPC)), mcr=1.0)


def test_flag_of_no_gaq_detector_changes_no_coverage() -> None:
    expect(run(flag(ITS, GOOD), flag(ZDC, BAD, 1020, 1030)), not_bad=1.0)


def test_detector_listed_twice_counts_once() -> None:
    expect(run(flag(ITS, GOOD, to=1050), detectors=(ITS, ITS)), not_bad=0.5, undefined=1)


def test_flag_created_later_wins() -> None:
    early = flag(ITS, GOOD, created_at=1)
    late = flag(ITS, BAD, 1020, 1030, created_at=2)
    expect(run(early, late), bad=0.1, not_bad=0.9)
    expect(run(late, early), bad=0.1, not_bad=0.9)


def test_creation_time_comes_before_id() -> None:
    late = flag(ITS, BAD, created_at=2)
    early = flag(ITS, GOOD, created_at=1)
    assert late.id < early.id
    expect(run(late, early), bad=1.0)


def test_higher_id_wins_among_flags_created_together() -> None:
    low = flag(ITS, GOOD, created_at=1)
    high = flag(ITS, BAD, created_at=1)
    expect(run(high, low), bad=1.0)
    expect(run(low, high), bad=1.0)


def test_deleted_flag_hides_no_other_flag() -> None:
    expect(run(flag(ITS, GOOD), flag(ITS, BAD, deleted=True)), not_bad=1.0)


@pytest.mark.parametrize("from_", [None, 900, -math.inf])
@pytest.mark.parametrize("to", [None, 1200, math.inf])
def test_flags_are_clipped_to_the_run(from_: Instant | None, to: Instant | None) -> None:
    expect(run(flag(ITS, BAD, from_, to)), bad=1.0)


@pytest.mark.parametrize(
    ("from_", "to"),
    [
        (1050, 1050),
        (1060, 1040),
        (900, 1000),
        (1100, 1200),
        (math.inf, None),
        (None, -math.inf),
        (math.inf, -math.inf),
    ],
)
def test_empty_span_hides_no_flag_and_cuts_no_period(from_: Instant | None, to: Instant | None) -> None:
    expect(run(flag(ITS, GOOD, to=1080), flag(ITS, BAD, from_, to)), not_bad=0.8, undefined=1)


def test_undefined_periods_count_the_detectors_without_a_flag() -> None:
    expect(run(flag(ITS, BAD), detectors=(ITS, TPC, ZDC)), undefined=2)


def test_undefined_periods_are_cut_at_bounds_on_other_detectors() -> None:
    pair = run(
        flag(ITS, GOOD, 1000, 1020),
        flag(ITS, BAD, 1020, 1040),
        detectors=(ITS, TPC),
    )
    expect(pair, undefined=1 + 1 + 2)


def test_flag_of_no_gaq_detector_cuts_no_period() -> None:
    expect(run(flag(ZDC, BAD, 1020, 1030)), undefined=1)


def test_bound_hidden_under_a_later_flag_cuts_no_period() -> None:
    hidden = flag(ITS, GOOD, 1020, 1030)
    expect(run(hidden, flag(ITS, BAD, 1010, 1050), detectors=(ITS, TPC)), undefined=2 + 1 + 2)


def test_bound_of_two_equal_flags_cuts_a_period() -> None:
    pair = run(flag(ITS, BAD, to=1040), flag(ITS, BAD, from_=1040), detectors=(ITS, TPC))
    expect(pair, undefined=1 + 1)


def test_missing_verifications() -> None:
    pair = run(
        flag(ITS, GOOD, verified=0),
        flag(ITS, GOOD, 1010, 1020, verified=0),
        flag(ITS, GOOD, 1020, 1030, verified=1),
        flag(ITS, GOOD, 1030, 1040, verified=2),
    )
    expect(pair, not_bad=1.0, missing_verifications=2)


@pytest.mark.parametrize(
    "invisible",
    [
        flag(ITS, BAD, 1010, 1020, created_at=0, verified=0),
        flag(ITS, BAD, 1200, 1300, verified=0),
        flag(ITS, BAD, 1020, 1020, verified=0),
        flag(ITS, BAD, deleted=True, verified=0),
        flag(ZDC, BAD, verified=0),
    ],
    ids=["hidden", "outside the run", "empty", "deleted", "a detector that does not matter"],
)
def test_flag_without_effective_period_needs_no_verification(invisible: Flag) -> None:
    expect(run(flag(ITS, GOOD), invisible), not_bad=1.0)


def test_flag_cut_in_two_misses_one_verification() -> None:
    pair = run(flag(ITS, GOOD, verified=0), flag(ITS, BAD, 1040, 1050))
    expect(pair, bad=0.1, not_bad=0.9, missing_verifications=1)


def test_microseconds_are_exact() -> None:
    start = 1_700_000_000_000_000
    pair = replace(
        run(flag(ITS, BAD, start, start + 1), flag(ITS, GOOD, start + 1)),
        qc_time_start=start,
        qc_time_end=start + 3,
    )
    expect(pair, bad=1 / 3, not_bad=2 / 3)

"""Define a pair to explain, in which two experts disagree about the TPC."""

from datetime import UTC, datetime, timedelta
from typing import Any

from gaq_listen.reports.explain.explanation import (
    ExplainedFlag,
    ExplainedPeriod,
    Explanation,
    Span,
    StoredSummary,
)
from gaq_listen.reports.quality import Quality
from gaq_listen.reports.summary_values import SummaryValues

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
END = START + timedelta(hours=1)
NOW = datetime(2026, 11, 24, 21, 30, 5, 120000, UTC)

HOSTILE = "[bold]x[/] \x1b[2J\n\u202e"


def at(minute: float) -> datetime:
    """Return an instant of the run, in minutes from its start."""
    return START + timedelta(minutes=minute)


def span(first: float, last: float) -> Span:
    """Return a span of the run, in minutes from its start."""
    return at(first), at(last)


def flag(flag_id: int, detector: str, quality: Quality, *effective: Span, **other: Any) -> ExplainedFlag:
    """Return a flag on a detector, over the whole run unless ``other`` says otherwise."""
    ids = {name: number for number, name in (*DETECTORS, (9, "ZDC"))}
    values: dict[str, Any] = {
        "flag_id": flag_id,
        "detector_id": ids[detector],
        "detector": detector,
        "flag_type": {Quality.GOOD: "Good", Quality.BAD: "Bad tracking"}.get(quality, "Limited acceptance"),
        "quality": quality,
        "starts": None,
        "ends": None,
        "created_at": at(100 + flag_id),
        "created_by": f"{detector} expert",
        "comment": None,
        "verifications": 1,
        "span": (START, END),
        "effective": effective,
        "hidden_by": (),
    }
    return ExplainedFlag(**(values | other))


DETECTORS = ((1, "FT0"), (2, "ITS"), (3, "TPC"))
FLAGS = (
    flag(1, "FT0", Quality.GOOD, span(0, 60)),
    flag(
        3,
        "ITS",
        Quality.MC_REPRODUCIBLE,
        span(40, 45),
        starts=at(40),
        ends=at(45),
        span=span(40, 45),
        verifications=0,
    ),
    flag(2, "ITS", Quality.GOOD, span(0, 40), span(45, 60), hidden_by=(3,)),
    flag(
        7,
        "TPC",
        Quality.BAD,
        span(10, 20.5),
        starts=at(10),
        ends=at(20.5),
        span=span(10, 20.5),
        created_by="the other expert",
        comment="tracks are missing in sector 12",
    ),
    flag(6, "TPC", Quality.BAD, starts=at(12), ends=at(15), span=span(12, 15), hidden_by=(7,)),
    flag(5, "TPC", Quality.GOOD, span(0, 10), span(20.5, 30), ends=at(30), span=span(0, 30), hidden_by=(6, 7)),
    flag(4, "TPC", Quality.BAD, span=None, starts=at(90), ends=at(95)),
    flag(8, "ZDC", Quality.BAD, span(0, 60)),
)
PERIODS = (
    ExplainedPeriod(span(0, 10), Quality.GOOD, (1, 2, 5), (), ()),
    ExplainedPeriod(span(10, 20.5), Quality.BAD, (1, 2, 7), (), ()),
    ExplainedPeriod(span(20.5, 30), Quality.GOOD, (1, 2, 5), (), ()),
    ExplainedPeriod(span(30, 40), Quality.UNKNOWN, (1, 2), (), (3,)),
    ExplainedPeriod(span(40, 45), Quality.UNKNOWN, (1, 3), (3,), (3,)),
    ExplainedPeriod(span(45, 60), Quality.UNKNOWN, (1, 2), (), (3,)),
)
VALUES = SummaryValues(
    bad=10.5 / 60,
    good=19.5 / 60,
    mc_reproducible=0.0,
    missing_verifications=1,
    undefined_quality_periods=3,
    not_computable=False,
)


def explained(**other: Any) -> Explanation:
    """Return the pair, fresh unless ``other`` says otherwise."""
    values: dict[str, Any] = {
        "at": NOW,
        "data_pass_id": 12,
        "data_pass": "LHC22o_apass7",
        "run_number": 526641,
        "in_data_pass": True,
        "qc_time_start": START,
        "qc_time_end": END,
        "detectors": DETECTORS,
        "flags": FLAGS,
        "periods": PERIODS,
        "stored": StoredSummary(VALUES, NOW - timedelta(minutes=3), 0.0042, "flag", "gaq-1"),
        "computed": VALUES,
        "error": None,
        "marks": (),
    }
    return Explanation(**(values | other))

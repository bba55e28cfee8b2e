"""Hypothesis strategies for random pairs, in which cases are frequent that are rare in real data.

Bounds coincide or lie a microsecond apart, flags of one detector overlap and are created at the same time, and spans
are empty, endless or outside the run.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

from hypothesis import strategies as st

from tests.support.model import Flag, FlagType, Instant, Pair
from tests.support.tables import Key

MICROSECOND, SECOND, HOUR, DAY = 1, 1_000_000, 3_600_000_000, 86_400_000_000
RUN_START = 1_700_000_000_000_000
CREATION = 1_710_000_000_000_000

DETECTORS = (1, 2, 3, 4)
# The extremes are there because the key of a pair must not overflow, and two pairs must not share a key.
DATA_PASSES = (1, 2, 2**31 - 1)
RUN_NUMBERS = (1, 2, 560_123, 2**31 - 1)

GOOD, BAD, LIMITED, REPRODUCIBLE = 1, 2, 3, 4
FLAG_TYPES = (
    FlagType(GOOD, bad=False, mc_reproducible=False),
    FlagType(BAD, bad=True, mc_reproducible=False),
    FlagType(LIMITED, bad=True, mc_reproducible=True),
    FlagType(REPRODUCIBLE, bad=False, mc_reproducible=True),
)


@dataclass(frozen=True)
class Window:
    """The QC times of a run, and a strategy for from and to of the flags of its pairs."""

    start: Instant | None
    end: Instant | None
    spans: st.SearchStrategy[tuple[Instant | None, Instant | None]]


def one_in(n: int) -> st.SearchStrategy[bool]:
    return st.sampled_from([False] * (n - 1) + [True])


# Making a strategy takes longer than drawing from it, so nothing below makes one for each flag.
_NO_INSTANTS = st.sampled_from([None, math.inf, -math.inf])
_STEPS = st.sampled_from([MICROSECOND, 7 * MICROSECOND, SECOND, HOUR, DAY])
_DETECTOR, _FLAG_TYPE = st.sampled_from(DETECTORS), st.sampled_from(FLAG_TYPES)
_DELETED, _CREATED, _VERIFIED = one_in(8), st.integers(CREATION, CREATION + 5), st.integers(0, 2)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    step = draw(_STEPS)
    ticks = [RUN_START + tick * step for tick in range(10)]
    beside = [tick + offset for tick in ticks for offset in (-1, 1)]
    instants = st.sampled_from(3 * ticks + beside)
    bounds = st.one_of(instants, _NO_INSTANTS)
    ordered = st.tuples(instants, instants).map(lambda span: (min(span), max(span)))
    spans = st.one_of(ordered, st.tuples(bounds, bounds))
    if draw(one_in(12)):
        return Window(draw(bounds), draw(bounds), spans)
    start = RUN_START + step * draw(st.integers(0, 3))
    end = RUN_START + step * draw(st.integers(5, 9))
    return Window(start, end, spans)


@st.composite
def flags(draw: st.DrawFn, window: Window) -> Flag:
    from_, to = draw(window.spans)
    return Flag(
        id=0,
        detector_id=draw(_DETECTOR),
        flag_type_id=draw(_FLAG_TYPE).id,
        from_=from_,
        to=to,
        deleted=draw(_DELETED),
        created_at=draw(_CREATED),
        verified=draw(_VERIFIED),
    )


@st.composite
def pairs(draw: st.DrawFn, window: Window) -> Pair:
    how_many = draw(st.sampled_from([2, 3, 1, 4] * 3 + [0]))
    detectors = draw(st.sampled_from(list(combinations(DETECTORS, how_many))))
    drawn = draw(st.lists(flags(window), min_size=draw(st.sampled_from([8, 8, 4, 0])), max_size=12))
    # If no detector were covered from end to end, almost all time would be undefined.
    if draw(st.booleans()):
        types = st.sampled_from([GOOD, GOOD, LIMITED])
        drawn += [full_run(detector, draw(types)) for detector in detectors]
    ids = range(len(drawn), 0, -1) if draw(st.booleans()) else range(1, len(drawn) + 1)
    return Pair(
        qc_time_start=window.start,
        qc_time_end=window.end,
        gaq_detectors=detectors,
        flag_types=FLAG_TYPES,
        flags=numbered(drawn, ids),
    )


def full_run(detector_id: int, flag_type_id: int) -> Flag:
    """Return a flag for the whole run, without verification. No random flag is created earlier."""
    return Flag(0, detector_id, flag_type_id, None, None, False, CREATION, 0)


def numbered(flags: Iterable[Flag], ids: Iterable[int]) -> tuple[Flag, ...]:
    return tuple(replace(flag, id=number) for flag, number in zip(flags, ids, strict=False))


@st.composite
def batches(draw: st.DrawFn) -> dict[Key, Pair]:
    """Draw pairs of up to three runs, each in one data pass or in two."""
    some_runs = st.lists(st.sampled_from(RUN_NUMBERS), min_size=1, max_size=3, unique=True)
    some_passes = st.lists(st.sampled_from(DATA_PASSES), min_size=1, max_size=2, unique=True)
    return {
        (data_pass_id, run_number): draw(pairs(window))
        for run_number in draw(some_runs)
        for window in [draw(windows())]
        for data_pass_id in draw(some_passes)
    }

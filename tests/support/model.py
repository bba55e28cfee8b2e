"""Compute the GAQ summary of a pair by brute force, slowly and exactly, from the definition alone.

The tests compare the SQL with this model, so the model uses another algorithm: for every stretch of the run, it finds
for every detector the flag that wins there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TypeAlias

Instant: TypeAlias = int | float
"""Whole microseconds since the epoch (an int, so that arithmetic is exact), or ±math.inf."""


@dataclass(frozen=True)
class FlagType:
    id: int
    bad: bool
    mc_reproducible: bool


@dataclass(frozen=True)
class Flag:
    id: int
    detector_id: int
    flag_type_id: int
    from_: Instant | None  # None: from the start of the run
    to: Instant | None  # None: to the end of the run
    deleted: bool
    created_at: Instant
    verified: int  # how many verifications


@dataclass(frozen=True)
class Pair:
    qc_time_start: Instant | None
    qc_time_end: Instant | None
    gaq_detectors: tuple[int, ...]
    flag_types: tuple[FlagType, ...]
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class Summary:
    bad: float | None
    mcr: float | None
    not_bad: float | None
    missing_verifications: int | None
    undefined_quality_periods: int | None
    not_computable: bool

    def differences(self, expected: Summary) -> dict[str, tuple[object, object]]:
        """Return the fields that differ, as (self, expected). Coverages differ if they are more than 1e-9 apart.

        >>> NOT_COMPUTABLE.differences(NOT_COMPUTABLE)
        {}
        """
        return {
            name: (value, vars(expected)[name])
            for name, value in vars(self).items()
            if not _same(value, vars(expected)[name])
        }


NOT_COMPUTABLE = Summary(None, None, None, None, None, True)


def _same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-9
    return type(one) is type(other) and one == other


def summary(pair: Pair) -> Summary:
    """Compute the summary of a pair."""
    start, end = pair.qc_time_start, pair.qc_time_end
    detectors = set(pair.gaq_detectors)
    flags = [flag for flag in pair.flags if not flag.deleted]
    if start is None or end is None or math.isinf(start) or math.isinf(end) or start >= end:
        return NOT_COMPUTABLE
    if not detectors or not flags:
        return NOT_COMPUTABLE

    types = {flag_type.id: flag_type for flag_type in pair.flag_types}
    time: dict[str, Instant] = {"bad": 0, "mcr": 0, "good": 0}
    undefined = 0
    effective: set[Flag] = set()
    for length, winners in _elementary_periods(flags, detectors, start, end):
        on_top = [flag for flag in winners.values() if flag is not None]
        covering = [types[flag.flag_type_id] for flag in on_top]
        effective.update(on_top)
        if len(covering) < len(detectors):
            undefined += len(detectors) - len(covering)
        elif any(covers.bad and not covers.mc_reproducible for covers in covering):
            time["bad"] += length
        elif any(covers.mc_reproducible for covers in covering):
            time["mcr"] += length
        else:
            time["good"] += length

    return Summary(
        bad=time["bad"] / (end - start),
        mcr=time["mcr"] / (end - start),
        not_bad=time["good"] / (end - start),
        missing_verifications=sum(flag.verified == 0 for flag in effective),
        undefined_quality_periods=undefined,
        not_computable=False,
    )


def _elementary_periods(
    flags: list[Flag], detectors: set[int], start: Instant, end: Instant
) -> list[tuple[Instant, dict[int, Flag | None]]]:
    """Return the elementary periods of the run: the length of each, and the flag that wins on each detector."""
    spans = {flag: _span(flag, start, end) for flag in flags}
    bounds = {start, end}.union(*spans.values())
    stretches = [
        (upper - lower, {detector: _winner(spans, detector, lower) for detector in detectors})
        for lower, upper in pairwise(sorted(bounds))
    ]
    # A bound that is hidden under a later flag changes no winner, so it is the bound of no effective period.
    return [
        (sum(length for length, _ in together), winners)
        for winners, together in groupby(stretches, key=lambda stretch: stretch[1])
    ]


def _winner(spans: dict[Flag, tuple[Instant, Instant]], detector: int, instant: Instant) -> Flag | None:
    covering = [
        flag for flag, (lower, upper) in spans.items() if flag.detector_id == detector and lower <= instant < upper
    ]
    return max(covering, key=lambda flag: (flag.created_at, flag.id), default=None)


def _span(flag: Flag, start: Instant, end: Instant) -> tuple[Instant, Instant]:
    """Return from and to of the flag, clipped to the run. The span is empty unless from < to."""
    lower = start if flag.from_ is None else flag.from_
    upper = end if flag.to is None else flag.to
    return min(max(lower, start), end), max(min(upper, end), start)

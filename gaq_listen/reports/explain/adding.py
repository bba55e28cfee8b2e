"""How the numbers of a summary add up, from the effective periods of its flags. Pure.

What is a flag's effective period is the database's word; here they are laid side by side, and the outcome is held
against what the database computed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from gaq_listen.reports.explain.pair import Explanation, Flag, Quality, Span, Values

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    """An elementary period: within it no flag begins or ends. ``uncovered``: names of detectors without one."""

    span: Span
    quality: Quality
    uncovered: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """What the periods add up to: time of each quality; flags that are not verified."""

    time: dict[Quality, timedelta]
    whole: timedelta
    unverified: tuple[Flag, ...]
    undefined: int

    def share(self, quality: Quality) -> float:
        """Of the run, 0 to 1."""
        return (self.time[quality] // _MICROSECOND) / (self.whole // _MICROSECOND)

    def agrees_with(self, values: Values) -> bool:
        """Whether it is what the database says: coverages within 1e-9, counts exactly."""
        mine = (self.share(Quality.BAD), self.share(Quality.GOOD), self.share(Quality.MC_REPRODUCIBLE))
        theirs = (values.bad, values.good, values.mc_reproducible)
        return (
            all(b is not None and math.isclose(a, b, abs_tol=1e-9) for a, b in zip(mine, theirs, strict=True))
            and len(self.unverified) == values.missing_verifications
            and self.undefined == values.undefined_quality_periods
        )


def quality_at(flags: Sequence[Flag], detector: int, at: datetime) -> Quality:
    """What counts for a detector at an instant."""
    for flag in flags:
        if flag.detector_id == detector and any(start <= at < end for start, end in flag.effective):
            return flag.quality
    return Quality.UNKNOWN


def periods(pair: Explanation) -> list[Period]:
    """The elementary periods of the run, in order: none when its times are unknown."""
    if pair.window is None:
        return []
    flags = [flag for flag in pair.flags if pair.counts(flag)]
    bounds = sorted({*pair.window, *(bound for flag in flags for span in flag.effective for bound in span)})
    return [_period(pair, flags, span) for span in pairwise(bounds)]


def _period(pair: Explanation, flags: Sequence[Flag], span: Span) -> Period:
    qualities = {name: quality_at(flags, detector, span[0]) for detector, name in pair.detectors}
    uncovered = tuple(name for name, quality in qualities.items() if quality is Quality.UNKNOWN)
    there = set(qualities.values())
    if uncovered or not there:
        return Period(span, Quality.UNKNOWN, uncovered)
    for worst in (Quality.BAD, Quality.MC_REPRODUCIBLE):
        if worst in there:
            return Period(span, worst, ())
    return Period(span, Quality.GOOD, ())


def add_up(pair: Explanation) -> Sum | None:
    """What they add up to; None when the pair is not computable: see :func:`why_not`."""
    if pair.window is None or why_not(pair):
        return None
    elementary = periods(pair)
    time = {
        quality: sum((p.span[1] - p.span[0] for p in elementary if p.quality is quality), timedelta())
        for quality in Quality
    }
    return Sum(
        time=time,
        whole=pair.window[1] - pair.window[0],
        unverified=tuple(f for f in pair.flags if pair.counts(f) and f.effective and not f.verifications),
        undefined=sum(len(period.uncovered) for period in elementary),
    )


def why_not(pair: Explanation) -> list[str]:
    """What is missing for a summary; nothing: it can be computed."""
    reasons = []
    if pair.qc_time_start is None:
        reasons.append("the start of the run is not known")
    if pair.qc_time_end is None:
        reasons.append("the end of the run is not known")
    if pair.qc_time_start and pair.qc_time_end and pair.window is None:
        reasons.append("the run ends before it starts, or as it starts")
    if not pair.detectors:
        reasons.append("no detector is listed as one that matters")
    if not pair.flags:
        reasons.append("there is no flag")
    return reasons

"""How the numbers of a summary add up, from its elementary periods. Pure.

The database says what the elementary periods are (gaq.periods). This module adds them up, and compares the sums with
what the database computes.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from gaq_listen.reports.explain.explanation import ExplainedFlag, Explanation, Quality, SummaryValues

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Sum:
    """What the periods add up to: time of each quality; flags that are not verified."""

    time: dict[Quality, timedelta]
    whole: timedelta
    unverified: tuple[ExplainedFlag, ...]
    undefined: int

    def share(self, quality: Quality) -> float:
        """Of the run, 0 to 1."""
        return (self.time[quality] // _MICROSECOND) / (self.whole // _MICROSECOND)

    def agrees_with(self, values: SummaryValues) -> bool:
        """Whether it is what the database says: coverages within 1e-9, counts exactly."""
        mine = (self.share(Quality.BAD), self.share(Quality.GOOD), self.share(Quality.MC_REPRODUCIBLE))
        theirs = (values.bad, values.good, values.mc_reproducible)
        return (
            all(b is not None and math.isclose(a, b, abs_tol=1e-9) for a, b in zip(mine, theirs, strict=True))
            and len(self.unverified) == values.missing_verifications
            and self.undefined == values.undefined_quality_periods
        )


def add_up(pair: Explanation) -> Sum | None:
    """What they add up to; None when the pair is not computable: see :func:`why_not`."""
    if pair.window is None or why_not(pair):
        return None
    unverified = {flag_id for period in pair.periods for flag_id in period.unverified}
    time = {
        quality: sum((p.span[1] - p.span[0] for p in pair.periods if p.quality is quality), timedelta())
        for quality in Quality
    }
    return Sum(
        time=time,
        whole=pair.window[1] - pair.window[0],
        unverified=tuple(flag for flag in pair.flags if flag.flag_id in unverified),
        undefined=sum(len(period.uncovered) for period in pair.periods),
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

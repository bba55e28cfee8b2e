"""Add the elementary periods of a pair up to its summary.

The database says what the elementary periods are (``gaq.periods``). The sums must be what the database computes.
"""

from dataclasses import dataclass
from datetime import timedelta

from gaq_listen.reports.explain.explanation import ExplainedFlag, Explanation
from gaq_listen.reports.quality import Quality
from gaq_listen.reports.summary_values import SummaryValues

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Sum:
    """Hold the sums of the periods of a pair.

    ``time`` is the time of each quality, and ``whole`` the QC time of the run. ``unverified`` are flags without a
    verification. ``undefined`` counts the undefined periods.
    """

    time: dict[Quality, timedelta]
    whole: timedelta
    unverified: tuple[ExplainedFlag, ...]
    undefined: int

    def share(self, quality: Quality) -> float:
        """Return the fraction of the run, from 0 to 1, that has a quality."""
        return (self.time[quality] // _MICROSECOND) / (self.whole // _MICROSECOND)

    @property
    def values(self) -> SummaryValues:
        """Return the summary that the sums amount to."""
        return SummaryValues(
            bad=self.share(Quality.BAD),
            good=self.share(Quality.GOOD),
            mc_reproducible=self.share(Quality.MC_REPRODUCIBLE),
            missing_verifications=len(self.unverified),
            undefined_quality_periods=self.undefined,
            not_computable=False,
        )


def add_up(pair: Explanation) -> Sum | None:
    """Return the sums of the periods; None if the pair is not computable."""
    if pair.window is None or not_computable_because(pair):
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


def not_computable_because(pair: Explanation) -> list[str]:
    """Return what a pair lacks for a summary; an empty list if it is computable."""
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

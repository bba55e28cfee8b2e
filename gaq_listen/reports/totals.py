"""Add up summaries of a data pass, each run weighted by its length.

The view gaq.data_pass_summaries has the same totals of all stored summaries of a data pass. This module adds up any
selection of summaries, stored or live.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gaq_listen.reports.show import Summary


@dataclass(frozen=True, slots=True)
class DataPassTotals:
    """Hold the totals of summaries.

    ``hours`` is the length of the runs that have values. Coverages are fractions of these hours, from 0 to 1, and None
    if no run has values. ``undecided_coverage`` is the time in which a detector has no flag.
    """

    runs: int
    hours: float
    bad_run_coverage: float | None
    explicitly_not_bad_run_coverage: float | None
    mc_reproducible_coverage: float | None
    undecided_coverage: float | None
    not_computable: int
    missing_verifications: int
    undefined_quality_periods: int
    stale: int

    def as_json(self) -> dict[str, Any]:
        """Return the values by their names, which are those of the columns of gaq.data_pass_summaries."""
        return asdict(self)


def totals(summaries: Iterable["Summary"]) -> DataPassTotals:
    """Add up the summaries."""
    every = list(summaries)
    weighted = [
        (s.run_seconds, s.bad_run_coverage, s.explicitly_not_bad_run_coverage or 0.0, s.mc_reproducible_coverage or 0.0)
        for s in every
        if s.run_seconds is not None and s.bad_run_coverage is not None
    ]
    seconds = sum(each[0] for each in weighted)
    bad, good, mc_reproducible = (sum(each[0] * each[part] for each in weighted) for part in (1, 2, 3))

    def share(time: float) -> float | None:
        return time / seconds if seconds else None

    return DataPassTotals(
        runs=len(every),
        hours=seconds / 3600,
        bad_run_coverage=share(bad),
        explicitly_not_bad_run_coverage=share(good),
        mc_reproducible_coverage=share(mc_reproducible),
        undecided_coverage=share(max(0.0, seconds - bad - good - mc_reproducible)),
        not_computable=sum(s.not_computable is True for s in every),
        missing_verifications=sum(s.missing_verifications_count or 0 for s in every),
        undefined_quality_periods=sum(s.undefined_quality_periods_count or 0 for s in every),
        stale=sum(s.invalidated_at is not None for s in every),
    )

"""Hold the values of a summary, and compare them with others."""

import math
from dataclasses import astuple, dataclass, fields

SAME_COVERAGE = 1e-9
"""Coverages that differ by less than this count as equal, because a sum of floats is not exact."""

COLUMNS = {
    "bad": "bad_run_coverage",
    "good": "explicitly_not_bad_run_coverage",
    "mc_reproducible": "mc_reproducible_coverage",
    "missing_verifications": "missing_verifications_count",
    "undefined_quality_periods": "undefined_quality_periods_count",
    "not_computable": "not_computable",
}
"""The column of ``gaq_summaries`` for each field of ``SummaryValues``."""


@dataclass(frozen=True, slots=True)
class SummaryValues:
    """Hold the values of a summary. Coverages are fractions of the run, from 0 to 1.

    A summary that is not computable has None for all other values. ``not_computable`` is None for a summary that was
    never computed.
    """

    bad: float | None
    good: float | None
    mc_reproducible: float | None
    missing_verifications: int | None
    undefined_quality_periods: int | None
    not_computable: bool | None

    @property
    def coverages(self) -> tuple[float | None, float | None, float | None]:
        """Return the three coverages."""
        return self.bad, self.good, self.mc_reproducible

    def by_column(self) -> dict[str, float | int | bool | None]:
        """Return the values by the names of the columns of ``gaq_summaries``."""
        return {COLUMNS[each.name]: getattr(self, each.name) for each in fields(self)}

    def equals(self, other: "SummaryValues") -> bool:
        """Return whether the values are the same. Rounding errors of coverages do not count."""
        return all(
            math.isclose(one, another, abs_tol=SAME_COVERAGE, rel_tol=0.0)
            if isinstance(one, float) and isinstance(another, float)
            else one == another
            for one, another in zip(astuple(self), astuple(other), strict=True)
        )

"""The summaries of a data pass."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from gaq_listen.errors import UnknownName
from gaq_listen.reports.comparison import Comparison

_SUMMARIES = """
select run_number, bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,
       missing_verifications_count, undefined_quality_periods_count, not_computable, invalidated_at, updated_at
from gaq.current_summaries where data_pass_id = %s order by run_number
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of ``gaq_summaries``: coverages from 0 to 1; None: not computable, or not computed yet."""

    run_number: int
    bad_run_coverage: float | None
    explicitly_not_bad_run_coverage: float | None
    mc_reproducible_coverage: float | None
    missing_verifications_count: int | None
    undefined_quality_periods_count: int | None
    not_computable: bool | None
    invalidated_at: datetime | None
    updated_at: datetime | None

    def not_bad(self, mc_as_not_bad: bool) -> float | None:
        """What counts as not bad: the good part, or with ``mc_as_not_bad`` the MC reproducible one as well."""
        good, mc_reproducible = self.explicitly_not_bad_run_coverage, self.mc_reproducible_coverage
        if good is None or mc_reproducible is None:
            return None
        return good + mc_reproducible if mc_as_not_bad else good

    def bad(self, mc_as_not_bad: bool) -> float | None:
        """What counts as bad: the bad part and, without ``mc_as_not_bad``, the MC reproducible one as well."""
        if self.bad_run_coverage is None or self.mc_reproducible_coverage is None:
            return None
        return self.bad_run_coverage + (0 if mc_as_not_bad else self.mc_reproducible_coverage)

    def not_bad_fraction(self, mc_as_not_bad: bool) -> float | None:
        """Return 1 - bad, as the Bookkeeping's page of runs reckons: time without a flag counts as not bad."""
        bad = self.bad(mc_as_not_bad)
        return None if bad is None else max(0.0, 1 - bad)

    def as_json(self, mc_as_not_bad: bool = False) -> dict[str, Any]:
        """Return its values by the names of the columns, and the not-bad fraction; times in ISO 8601.

        With ``mc_as_not_bad``, what is MC reproducible counts to what is explicitly not bad.
        """
        values = asdict(self) | {
            "explicitly_not_bad_run_coverage": self.not_bad(mc_as_not_bad),
            "not_bad_fraction": self.not_bad_fraction(mc_as_not_bad),
        }
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which summaries of a data pass, in which order; None and False: no condition.

    ``below``: those of which less than this (0 to 1) is good. ``good`` and ``not_bad``: all these comparisons must hold
    for the good fraction, and for 1 - bad. With ``mc_as_not_bad`` the MC reproducible part counts to both.
    """

    runs: tuple[int, ...] = ()
    stale: bool = False
    below: float | None = None
    mc_as_not_bad: bool = False
    sort: str = "run"
    good: tuple[Comparison, ...] = ()
    not_bad: tuple[Comparison, ...] = ()

    def of(self, summaries: Sequence[Summary]) -> list[Summary]:
        """Those of these that are wanted; what has no value comes last."""
        return sorted((summary for summary in summaries if self._wants(summary)), key=self._key)

    def _wants(self, summary: Summary) -> bool:
        if self.runs and summary.run_number not in self.runs:
            return False
        if self.stale and summary.invalidated_at is None:
            return False
        good = summary.not_bad(self.mc_as_not_bad)
        if self.below is not None and (good is None or good >= self.below):
            return False
        not_bad = summary.not_bad_fraction(self.mc_as_not_bad)
        return all(one.holds(good) for one in self.good) and all(one.holds(not_bad) for one in self.not_bad)

    def _key(self, summary: Summary) -> tuple[bool, float, int]:
        value = SORTS[self.sort](summary, self.mc_as_not_bad)
        return value is None, value or 0.0, summary.run_number


def _descending(value: float | None) -> float | None:
    return None if value is None else -value


SORTS: dict[str, Any] = {
    "run": lambda summary, _: summary.run_number,
    "good": lambda summary, mc: summary.not_bad(mc),
    "bad": lambda summary, mc: _descending(summary.bad(mc)),
    "unverified": lambda summary, _: _descending(summary.missing_verifications_count),
    "undefined": lambda summary, _: _descending(summary.undefined_quality_periods_count),
    "stale": lambda summary, _: summary.invalidated_at and summary.invalidated_at.timestamp(),
}
"""What they can be sorted by: the worst comes first."""


def read(connection: Connection[TupleRow], data_pass_id: int, runs: Sequence[int] = ()) -> list[Summary]:
    """All summaries of a data pass, by run number.

    Raises:
        UnknownName: one of these ``runs`` has no summary in this data pass.
    """
    with connection.cursor(row_factory=class_row(Summary)) as cursor:
        cursor.execute(_SUMMARIES, (data_pass_id,))
        summaries = cursor.fetchall()
    missing = set(runs) - {summary.run_number for summary in summaries}
    if missing:
        raise UnknownName(f"not in this data pass: run {', '.join(map(str, sorted(missing)))}")
    return summaries

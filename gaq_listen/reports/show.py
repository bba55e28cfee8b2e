"""Read the summaries of a data pass, and select and sort them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow, class_row

from gaq_listen.db.server_errors import explain
from gaq_listen.errors import GaqListenError, UnknownName
from gaq_listen.reports.filters import Condition
from gaq_listen.reports.json_values import plain
from gaq_listen.reports.quality import Quality

_COLUMNS = """
select run_number, bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,
       missing_verifications_count, undefined_quality_periods_count, not_computable, invalidated_at, updated_at,
       l.seconds as run_seconds
"""
_STORED = f"""
{_COLUMNS}
from gaq.current_summaries left join gaq.run_lengths l using (run_number)
where data_pass_id = %(data_pass_id)s order by run_number
"""
_LIVE = f"""
{_COLUMNS}, computed_now, error
from gaq.live_summaries(%(data_pass_id)s, %(runs)s) left join gaq.run_lengths l using (run_number) order by run_number
"""


_DETECTORS = "select run_number, detector, good, mc_reproducible, bad from gaq.detector_qualities(%s, %s)"


@dataclass(frozen=True, slots=True)
class DetectorQuality:
    """Hold the fractions of a run, from 0 to 1, in which a detector was good, MC reproducible and bad."""

    run_number: int
    detector: str
    good: float
    mc_reproducible: float
    bad: float

    @property
    def shares(self) -> dict[Quality, float]:
        """Return the fractions by quality. What is left of the run has no flag."""
        return {Quality.GOOD: self.good, Quality.MC_REPRODUCIBLE: self.mc_reproducible, Quality.BAD: self.bad}


@dataclass(frozen=True, slots=True)
class Summary:
    """Hold a row of ``gaq_summaries``, or of ``gaq.live_summaries``.

    Coverages are fractions of the run, from 0 to 1. Values are None if the summary is not computable or was never
    computed. ``run_seconds`` is the length of the run, or None if it is unknown. ``computed_now`` marks a summary that
    the database computed for this reading. ``error`` says why it could not.
    """

    run_number: int
    bad_run_coverage: float | None
    explicitly_not_bad_run_coverage: float | None
    mc_reproducible_coverage: float | None
    missing_verifications_count: int | None
    undefined_quality_periods_count: int | None
    not_computable: bool | None
    invalidated_at: datetime | None
    updated_at: datetime | None
    run_seconds: float | None = None
    computed_now: bool = False
    error: str | None = None

    def good(self, mc_as_not_bad: bool) -> float | None:
        """Return the good fraction, with ``mc_as_not_bad`` together with the MC reproducible fraction."""
        good, mc_reproducible = self.explicitly_not_bad_run_coverage, self.mc_reproducible_coverage
        if good is None or mc_reproducible is None:
            return None
        return good + mc_reproducible if mc_as_not_bad else good

    def bad(self, mc_as_not_bad: bool) -> float | None:
        """Return the bad fraction, without ``mc_as_not_bad`` together with the MC reproducible fraction."""
        if self.bad_run_coverage is None or self.mc_reproducible_coverage is None:
            return None
        return self.bad_run_coverage + (0 if mc_as_not_bad else self.mc_reproducible_coverage)

    def not_bad_fraction(self, mc_as_not_bad: bool) -> float | None:
        """Return 1 minus the bad fraction. Time without a flag counts as not bad, as on Bookkeeping's page of runs."""
        bad = self.bad(mc_as_not_bad)
        return None if bad is None else max(0.0, 1 - bad)

    def as_json(self, mc_as_not_bad: bool = False) -> dict[str, Any]:
        """Return the values by the names of the columns, and the not-bad fraction, with times in ISO 8601.

        With ``mc_as_not_bad``, the explicitly not bad coverage includes the MC reproducible coverage.
        """
        values = asdict(self) | {
            "explicitly_not_bad_run_coverage": self.good(mc_as_not_bad),
            "not_bad_fraction": self.not_bad_fraction(mc_as_not_bad),
        }
        return {name: plain(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class DataPassSummaries:
    """Hold summaries of a data pass, and when they were read, by the clock of the database.

    With ``live``, the database computed the stale ones for this reading. ``detectors`` is empty unless ``read`` was
    asked for them.
    """

    data_pass_id: int
    name: str
    at: datetime
    live: bool
    summaries: tuple[Summary, ...]
    detectors: tuple[DetectorQuality, ...] = ()

    def selected(self, selection: "Selection") -> "DataPassSummaries":
        """Return the data pass with the selected summaries only, in the order of the selection."""
        return replace(self, summaries=tuple(selection.select(self.summaries)))

    @property
    def stale(self) -> list[int]:
        """Return the runs whose summaries are stale."""
        return [summary.run_number for summary in self.summaries if summary.invalidated_at is not None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Select summaries of a data pass by conditions, and sort them. None and False stand for no condition.

    - ``below``: the good fraction is below this, from 0 to 1.
    - ``good``, ``not_bad``: the good fraction, and 1 minus the bad fraction, meet all these conditions.
    - ``mc_as_not_bad``: the MC reproducible fraction counts as good, and not as bad.
    - ``max_unverified``, ``max_undefined``: most missing verifications and most undefined periods.
    - ``sort``: a key of ``SORTS``.
    """

    runs: tuple[int, ...] = ()
    stale: bool = False
    below: float | None = None
    mc_as_not_bad: bool = False
    sort: str = "run"
    good: tuple[Condition, ...] = ()
    not_bad: tuple[Condition, ...] = ()
    max_unverified: int | None = None
    max_undefined: int | None = None

    def select(self, summaries: Sequence[Summary]) -> list[Summary]:
        """Return the summaries that meet all conditions, sorted. Summaries without the value to sort by come last."""
        selected = (summary for summary in summaries if self.includes(summary) and not self.reasons_against(summary))
        return sorted(selected, key=self._key)

    def includes(self, summary: Summary) -> bool:
        """Return whether the run is one of ``runs``, or ``runs`` is empty."""
        return not self.runs or summary.run_number in self.runs

    def reasons_against(self, summary: Summary) -> list[str]:
        """Return a text for each condition that the summary does not meet."""
        reasons = []
        if self.stale and summary.invalidated_at is None and not summary.computed_now:
            reasons.append("fresh")
        good = summary.good(self.mc_as_not_bad)
        not_bad = summary.not_bad_fraction(self.mc_as_not_bad)
        if good is None or not_bad is None:
            if self.conditions:
                reasons.append("not computable" if summary.not_computable else "never computed")
            return reasons
        if self.below is not None and not good < self.below:
            reasons.append(f"good {good:.6g}, not <{self.below:.12g}")
        for what, fraction, conditions in (("good", good, self.good), ("not bad", not_bad, self.not_bad)):
            reasons += [f"{what} {fraction:.6g}, not {one}" for one in conditions if not one.holds(fraction)]
        for what, value, most in (
            ("missing verifications", summary.missing_verifications_count, self.max_unverified),
            ("undefined quality periods", summary.undefined_quality_periods_count, self.max_undefined),
        ):
            if most is not None and (value or 0) > most:
                reasons.append(f"{what} {value}, not <={most}")
        return reasons

    @property
    def conditions(self) -> dict[str, Any]:
        """Return the conditions on values, by the names of their options."""
        given = {
            "below": self.below,
            "good": [str(one) for one in self.good] or None,
            "not_bad": [str(one) for one in self.not_bad] or None,
            "max_unverified": self.max_unverified,
            "max_undefined": self.max_undefined,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _key(self, summary: Summary) -> tuple[bool, float, int]:
        value = SORTS[self.sort](summary, self.mc_as_not_bad)
        return value is None, value or 0.0, summary.run_number


def _descending(value: float | None) -> float | None:
    return None if value is None else -value


SORTS: dict[str, Any] = {
    "run": lambda summary, _: summary.run_number,
    "good": lambda summary, mc: summary.good(mc),
    "bad": lambda summary, mc: _descending(summary.bad(mc)),
    "unverified": lambda summary, _: _descending(summary.missing_verifications_count),
    "undefined": lambda summary, _: _descending(summary.undefined_quality_periods_count),
    "stale": lambda summary, _: summary.invalidated_at and summary.invalidated_at.timestamp(),
}
"""Return the value to sort by, for each choice of ``--sort``: the worst summary has the lowest."""


def read(
    connection: Connection[TupleRow],
    data_pass_id: int,
    name: str,
    runs: Sequence[int] = (),
    live: bool = False,
    detectors: bool = False,
) -> DataPassSummaries:
    """Read the summaries of a data pass, or of some ``runs`` in it, in one snapshot.

    With ``live``, the database computes the stale ones now. With ``detectors``, the qualities of the detectors are read
    too.

    Raises:
        UnknownName: one of the ``runs`` has no summary in this data pass.
        GaqListenError: too many summaries are stale to compute them now. The message says what to do.
    """
    wanted = {"data_pass_id": data_pass_id, "runs": list(runs) or None}
    connection.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        with connection.transaction(), connection.cursor(row_factory=class_row(Summary)) as cursor:
            ((at,),) = connection.execute("select clock_timestamp()").fetchall()
            cursor.execute(_LIVE if live else _STORED, wanted)
            found = cursor.fetchall()
            qualities = _detectors(connection, data_pass_id, found) if detectors else ()
    except psycopg.errors.ProgramLimitExceeded as error:
        raise GaqListenError(explain(error)) from error
    finally:
        connection.isolation_level = None
    missing = set(runs) - {summary.run_number for summary in found}
    if missing:
        raise UnknownName(f"not in this data pass: run {', '.join(map(str, sorted(missing)))}")
    summaries = tuple(summary for summary in found if not runs or summary.run_number in runs)
    return DataPassSummaries(data_pass_id, name, at, live, summaries, qualities)


def _detectors(
    connection: Connection[TupleRow], data_pass_id: int, summaries: Sequence[Summary]
) -> tuple[DetectorQuality, ...]:
    with connection.cursor(row_factory=class_row(DetectorQuality)) as cursor:
        cursor.execute(_DETECTORS, (data_pass_id, [summary.run_number for summary in summaries]))
        return tuple(cursor.fetchall())

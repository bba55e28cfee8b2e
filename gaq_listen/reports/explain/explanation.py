"""Hold a pair and everything that its summary is computed from, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from gaq_listen.reports.changes import SummaryChange
from gaq_listen.reports.failures import Failure
from gaq_listen.reports.quality import Quality
from gaq_listen.reports.summary_values import SummaryValues

Span: TypeAlias = tuple[datetime, datetime]
"""From the first instant to the one after the last. A span is never empty."""


@dataclass(frozen=True, slots=True)
class ExplainedFlag:
    """Hold a flag that is not deleted.

    ``starts`` and ``ends`` are its bounds as given, where None stands for a bound of the run. ``span`` is the part that
    lies within the run, or None if there is none. ``effective`` is what the later flags on the same detector,
    ``hidden_by``, leave of the span.
    """

    flag_id: int
    detector_id: int
    detector: str
    flag_type: str
    quality: Quality
    starts: datetime | None
    ends: datetime | None
    created_at: datetime | None
    created_by: str | None
    comment: str | None
    verifications: int
    span: Span | None
    effective: tuple[Span, ...]
    hidden_by: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ExplainedPeriod:
    """Hold an elementary period, in which no flag begins or ends, as ``gaq.periods`` returns it.

    ``flags`` has the ids of the effective flags on detectors that matter, and ``unverified`` those without a
    verification. ``uncovered`` has the ids of the detectors without a flag; None is a detector that no flag can name.
    """

    span: Span
    quality: Quality
    flags: tuple[int, ...]
    unverified: tuple[int, ...]
    uncovered: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """Hold the stored summary of a pair.

    ``seconds_stale`` is the time from its first mark to its refresh at ``updated_at``, ``refreshed_for`` the cause of
    the marks, and ``refreshed_by`` the worker.
    """

    values: SummaryValues
    updated_at: datetime
    seconds_stale: float | None
    refreshed_for: str | None
    refreshed_by: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Hold a pair at one moment, ``at``.

    - ``detectors``: ids and names of the detectors that matter.
    - ``periods``: the elementary periods, in order; empty if the pair is not computable.
    - ``stored``: None if the pair was never computed.
    - ``computed``: what the database computes now; None if that fails with ``error``.
    - ``marks``: time and cause of each mark; empty if the pair is fresh.
    - ``failure``: None unless workers could not compute the pair.
    - ``changes``: the last changes of its values, the newest last.
    """

    at: datetime
    data_pass_id: int
    data_pass: str
    run_number: int
    in_data_pass: bool
    qc_time_start: datetime | None
    qc_time_end: datetime | None
    detectors: tuple[tuple[int | None, str], ...]
    flags: tuple[ExplainedFlag, ...]
    periods: tuple[ExplainedPeriod, ...]
    stored: StoredSummary | None
    computed: SummaryValues | None
    error: str | None
    marks: tuple[tuple[datetime, str], ...]
    failure: Failure | None = None
    changes: tuple[SummaryChange, ...] = ()

    @property
    def window(self) -> Span | None:
        """Return the QC time of the run; None if it is unknown or empty."""
        if self.qc_time_start is None or self.qc_time_end is None or self.qc_time_start >= self.qc_time_end:
            return None
        return self.qc_time_start, self.qc_time_end

    def counts(self, flag: ExplainedFlag) -> bool:
        """Return whether the flag is on a detector that matters."""
        return any(flag.detector_id == detector for detector, _ in self.detectors)

    def uncovered(self, period: ExplainedPeriod) -> list[str]:
        """Return the names of the detectors that have no flag in a period."""
        return [name for detector, name in self.detectors if detector in period.uncovered]

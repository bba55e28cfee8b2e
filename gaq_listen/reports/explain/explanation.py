"""A pair and all that its summary is made of, as plain values."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TypeAlias

from gaq_listen.reports.changes import Change

Span: TypeAlias = tuple[datetime, datetime]
"""From the first instant to the one after the last; never empty."""


class Quality(Enum):
    """What a stretch of time is: of one detector, or of all that matter."""

    GOOD = "good"
    MC_REPRODUCIBLE = "MC reproducible"
    BAD = "bad"
    UNKNOWN = "no flag"


QUALITY_NAMES = {
    Quality.GOOD: "good",
    Quality.MC_REPRODUCIBLE: "mc_reproducible",
    Quality.BAD: "bad",
    Quality.UNKNOWN: "undefined",
}
"""The names that ``gaq.periods`` gives to qualities."""


@dataclass(frozen=True, slots=True)
class ExplainedFlag:
    """A flag that is not deleted.

    ``starts``, ``ends``: as given; None: the run's. ``span``: what of that is within the run; None: nothing.
    ``effective``: what the later flags on the same detector, ``hidden_by``, leave of it.
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
class EffectivePeriod:
    """An elementary period, as ``gaq.periods`` returns it: within it no flag begins or ends.

    ``flags``: ids of the effective flags on detectors that matter; ``unverified``: those without a verification.
    ``uncovered``: ids of the detectors without a flag, None for one that no flag can name.
    """

    span: Span
    quality: Quality
    flags: tuple[int, ...]
    unverified: tuple[int, ...]
    uncovered: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class SummaryValues:
    """A summary: coverages from 0 to 1; all None when it is not computable."""

    bad: float | None
    good: float | None
    mc_reproducible: float | None
    missing_verifications: int | None
    undefined_quality_periods: int | None
    not_computable: bool


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of a pair: since when, how many seconds after its first mark, why, and who refreshed it."""

    values: SummaryValues
    updated_at: datetime
    seconds_stale: float | None
    refreshed_for: str | None
    refreshed_by: str | None


@dataclass(frozen=True, slots=True)
class LastFailure:
    """The computation of a pair that fails: what it says, and when it is tried again."""

    error: str
    attempts: int
    next_try_at: datetime | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All of one moment, ``at``.

    ``detectors``: ids and names of those that matter. ``periods``: in order; none when the pair is not computable.
    ``stored``: None when it was never computed. ``computed``: what
    the database computes now; or its ``error``. ``marks``: when and why it was made stale; none: it is fresh.
    ``changes``: the last ones of its values.
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
    periods: tuple[EffectivePeriod, ...]
    stored: Stored | None
    computed: SummaryValues | None
    error: str | None
    marks: tuple[tuple[datetime, str], ...]
    failure: LastFailure | None = None
    changes: tuple[Change, ...] = ()

    @property
    def window(self) -> Span | None:
        """The time of the run that counts; None when it is unknown or empty."""
        if self.qc_time_start is None or self.qc_time_end is None or self.qc_time_start >= self.qc_time_end:
            return None
        return self.qc_time_start, self.qc_time_end

    def counts(self, flag: ExplainedFlag) -> bool:
        """Whether the flag is on a detector that matters."""
        return any(flag.detector_id == detector for detector, _ in self.detectors)

    def uncovered(self, period: EffectivePeriod) -> list[str]:
        """Return the names of the detectors without a flag in a period."""
        return [name for detector, name in self.detectors if detector in period.uncovered]

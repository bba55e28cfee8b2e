"""Why a summary that an application had stored itself differs from what is computed here. Pure.

The reasons are those of the original system that gaq-listen takes the place of; tests/golden has cases of each.
"""

from dataclasses import astuple, dataclass
from enum import Enum


class Reason(Enum):
    """What a comparison comes to, as a sentence."""

    AGREES = "the same, as exactly as the application computes"
    LEFT = "the pair is in no data pass any more, so it has no summary"
    NEVER = "the application had not computed it"
    STALE = "the application had marked it as stale, and not computed it anew"
    CHANGED = "what it is computed from has changed since it was taken over"
    RUN_TIMES = "the run's QC start or end is unknown: not computable; the application stored zeros"
    RUN_LENGTH = "the run ends when it begins, or before: not computable; the application stored 0 or -1"
    DELETED = "every flag is deleted: not computable; the application counted deleted flags as flags"
    OUTSIDE = "a flag reaches outside the run: here it is clipped; the application counted time outside"
    OUTDATED = "an effective period still ends at a later flag, which was deleted with the run's window"
    UNEXPLAINED = "no reason is known"

    @property
    def expected(self) -> bool:
        """Whether it is none to look into."""
        return self is not Reason.UNEXPLAINED


@dataclass(frozen=True, slots=True)
class LegacyValues:
    """A summary. Coverages are fractions of the run; ``not_computable`` is None where nothing was computed yet."""

    bad: float | None
    not_bad: float | None
    mcr: float | None
    missing_verifications: int | None
    undefined_quality_periods: int | None
    not_computable: bool | None

    @property
    def coverages(self) -> tuple[float | None, float | None, float | None]:
        """All three."""
        return self.bad, self.not_bad, self.mcr


@dataclass(frozen=True, slots=True)
class PairFacts:
    """Of a pair: what may explain a difference."""

    exists: bool
    """It is in a data pass."""
    invalidated: bool
    """It was, when it was taken over."""
    changed: bool
    """Something of it has, since."""
    bounds_known: bool
    """The run's QC start and end are known and finite."""
    has_length: bool
    """And in this order."""
    has_flags: bool
    """Such as are not deleted."""
    reaches_outside: bool
    """A flag on a detector that matters has a bound outside the run."""
    outdated_period: bool = False
    """An effective period that the application stored for such a flag ends where a later flag does that is deleted."""


def reason(theirs: LegacyValues, ours: LegacyValues, facts: PairFacts) -> Reason:
    """Why they differ, if they do."""
    if not facts.exists:
        return Reason.LEFT
    if theirs.not_computable is None:
        return Reason.NEVER
    if agree(theirs, ours):
        return Reason.AGREES
    if facts.invalidated:
        return Reason.STALE
    if facts.changed:
        return Reason.CHANGED
    if ours.not_computable and not theirs.not_computable:
        return _not_computable(theirs, facts)
    if not ours.not_computable and not theirs.not_computable:
        if facts.outdated_period:
            return Reason.OUTDATED
        if facts.reaches_outside:
            return Reason.OUTSIDE
    return Reason.UNEXPLAINED


def _not_computable(theirs: LegacyValues, facts: PairFacts) -> Reason:
    stored = set(theirs.coverages)
    if not facts.bounds_known and stored == {0}:
        return Reason.RUN_TIMES
    if facts.bounds_known and not facts.has_length and stored <= {0, -1}:
        return Reason.RUN_LENGTH
    if facts.has_length and not facts.has_flags and stored == {0}:
        return Reason.DELETED
    return Reason.UNEXPLAINED


def agree(theirs: LegacyValues, ours: LegacyValues) -> bool:
    """Whether they are the same, as exactly as sums of 32-bit floats can tell."""
    if theirs.not_computable or ours.not_computable:
        return theirs.not_computable == ours.not_computable
    return all(_same(one, other) for one, other in zip(astuple(theirs), astuple(ours), strict=True))


def _same(theirs: float | None, ours: float | None) -> bool:
    if isinstance(theirs, float) and isinstance(ours, float):
        return abs(theirs - ours) <= 1e-6 + 5e-6 * abs(ours)
    return theirs == ours

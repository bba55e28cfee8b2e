"""Find out why a summary that an application had stored differs from the summary that is computed here.

Each reason is a known difference between the original system and gaq-listen. ``tests/golden`` has cases of each.
"""

from dataclasses import astuple, dataclass
from enum import Enum

from gaq_listen.reports.summary_values import SummaryValues


class Reason(Enum):
    """Name the result of a comparison. The value is a sentence for people."""

    AGREES = "the same, as exactly as the application computes"
    LEFT = "the pair is in no data pass any more, so it has no summary"
    NEVER = "the application had not computed it"
    STALE = "the application had marked it as stale, and not computed it anew"
    CHANGED = "its flags, verifications, detectors or run times have changed since the table was adopted"
    RUN_TIMES = "the run's QC start or end is unknown: not computable; the application stored zeros"
    RUN_LENGTH = "the run ends when it begins, or before: not computable; the application stored 0 or -1"
    DELETED = "every flag is deleted: not computable; the application counted deleted flags as flags"
    OUTSIDE = "a flag reaches outside the run: here it is clipped; the application counted time outside"
    OUTDATED = "an effective period still ends at a later flag, which was deleted with the run's window"
    UNEXPLAINED = "no reason is known"

    @property
    def expected(self) -> bool:
        """Return whether nobody needs to look into the difference."""
        return self is not Reason.UNEXPLAINED


@dataclass(frozen=True, slots=True)
class PairFacts:
    """Hold the facts about a pair that may explain a difference."""

    exists: bool
    """The run belongs to the data pass."""
    invalidated: bool
    """The application had marked the summary as stale when the installation adopted the table."""
    changed: bool
    """Something that the summary is computed from has changed since then."""
    bounds_known: bool
    """The run's QC start and end are known and finite."""
    has_length: bool
    """The run's QC end is later than its QC start."""
    has_flags: bool
    """The pair has a flag that is not deleted."""
    reaches_outside: bool
    """A flag on a detector that matters has a bound outside the run."""
    outdated_period: bool = False
    """An effective period of such a flag, as the application stored it, ends at a later flag that is deleted now."""


def reason(theirs: SummaryValues, ours: SummaryValues, facts: PairFacts) -> Reason:
    """Return why the summary of the application, ``theirs``, differs from ``ours``, or that they agree."""
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


def _not_computable(theirs: SummaryValues, facts: PairFacts) -> Reason:
    stored = set(theirs.coverages)
    if not facts.bounds_known and stored == {0}:
        return Reason.RUN_TIMES
    if facts.bounds_known and not facts.has_length and stored <= {0, -1}:
        return Reason.RUN_LENGTH
    if facts.has_length and not facts.has_flags and stored == {0}:
        return Reason.DELETED
    return Reason.UNEXPLAINED


def agree(theirs: SummaryValues, ours: SummaryValues) -> bool:
    """Return whether the summaries are the same, within the precision of sums of 32-bit floats."""
    if theirs.not_computable or ours.not_computable:
        return theirs.not_computable == ours.not_computable
    return all(_same(one, other) for one, other in zip(astuple(theirs), astuple(ours), strict=True))


def _same(theirs: float | None, ours: float | None) -> bool:
    if isinstance(theirs, float) and isinstance(ours, float):
        return abs(theirs - ours) <= 1e-6 + 5e-6 * abs(ours)
    return theirs == ours

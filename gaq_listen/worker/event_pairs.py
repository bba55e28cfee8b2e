"""Define the pairs that events carry, and how a pair and its change read."""

from collections.abc import Sequence
from dataclasses import dataclass

from gaq_listen.wording import data_pass_name, percent
from gaq_listen.worker.event_base import Severity

NAMED = 4
"""Largest number of pairs of one event that a message or a plain line of the log names."""

_LONGEST_DATA_PASS = 24
"""Characters of a data pass's name that the console shows. Of a longer name, it shows both ends."""


@dataclass(frozen=True, slots=True)
class EventPair:
    """Identify a pair. ``data_pass`` is its name, or None if the data pass does not exist any more."""

    data_pass_id: int
    data_pass: str | None
    run_number: int

    @property
    def data_pass_name(self) -> str:
        """Return the name of the data pass or, if it has none, its id: ``#12``."""
        return data_pass_name(self.data_pass, self.data_pass_id)

    @property
    def short_data_pass(self) -> str:
        """Return the name of the data pass, without the middle of a long name."""
        name, half = self.data_pass_name, _LONGEST_DATA_PASS // 2
        return name if len(name) <= _LONGEST_DATA_PASS else f"{name[: half - 1]}…{name[-half:]}"

    @property
    def pair_name(self) -> str:
        """Return the data pass and the run: ``LHC22o_apass7/526641``."""
        return f"{self.data_pass_name}/{self.run_number}"


@dataclass(frozen=True, slots=True)
class RefreshedPair(EventPair):
    """One pair of a batch, as ``gaq.refresh`` returned it.

    ``seconds_stale`` is the time from the first mark to the refresh, by the server's clock. ``good_before`` and
    ``good_after`` are the good fraction, 0 to 1. None means not computable or, before, never computed.
    ``removed`` means that the run has left the data pass, so that the worker has removed the summary.
    """

    seconds_stale: float
    causes: str
    good_before: float | None
    good_after: float | None
    removed: bool

    @property
    def changed(self) -> bool:
        """Return whether the refresh changed the good fraction or removed the summary."""
        return self.removed or self.good_before != self.good_after

    @property
    def severity(self) -> Severity:
        """Return GOOD if the good fraction rose, and ERROR if it fell."""
        before, after = self.good_before, self.good_after
        if before is None or after is None or before == after:
            return Severity.NEUTRAL
        return Severity.GOOD if after > before else Severity.ERROR

    @property
    def good_change(self) -> str:
        """Return how the good fraction changed: ``92.1 → 88.4 %``."""
        before, after = self.good_before, self.good_after
        if self.removed:
            return "removed"
        if after is None:
            return "not computable" if before is None else f"{percent(before)} % → not computable"
        if before is None:
            return f"none → {percent(after)} %"
        if before == after:
            return f"still {percent(after)} %"
        return f"{percent(before)} → {percent(after)} %"


@dataclass(frozen=True, slots=True)
class FailedPair(EventPair):
    """One pair that could not be computed. It keeps its value, stays stale, and is tried again.

    ``next_try`` is the number of seconds until then; a new mark on the pair leads to a try at once. ``attempts`` is the
    number of failed tries in a row.
    """

    error: str
    attempts: int
    next_try: float


@dataclass(frozen=True, slots=True)
class DriftedPair(EventPair):
    """One fresh pair whose stored summary differed from the recomputed one.

    ``differs`` names the columns that differ. ``stored`` and ``recomputed`` are the good fraction of the pair, 0 to 1.
    """

    differs: str
    stored: float | None
    recomputed: float | None


def name_first(texts: Sequence[str], separator: str = "; ") -> str:
    """Join the first texts, and count the others.

    >>> name_first(["a", "b", "c", "d", "e", "f"])
    'a; b; c; d +2'
    """
    more = f" +{len(texts) - NAMED}" if len(texts) > NAMED else ""
    return separator.join(texts[:NAMED]) + more

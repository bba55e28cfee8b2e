"""Name the qualities of a period, and share a run out between them."""

from enum import Enum

from gaq_listen.reports.summary_values import SAME_COVERAGE


class Quality(Enum):
    """Name the quality of a period, for one detector or for all that matter. The value is for people."""

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


def with_unknown(shares: dict[Quality, float]) -> dict[Quality, float]:
    """Return the shares of a run, from 0 to 1, with what is left of the run as unknown, in the order of ``Quality``."""
    rest = 1 - sum(shares.values())
    whole = shares | {Quality.UNKNOWN: rest if rest > SAME_COVERAGE else 0.0}
    return {quality: whole.get(quality, 0.0) for quality in Quality}

"""How things are said, wherever they are shown: names, durations, coverages. Pure."""

import math
from collections.abc import Sequence

from gaq_listen.observers.staleness import Percentiles
from gaq_listen.worker.events import DriftedPair, FailedPair, RefreshedPair, Started

LONGEST = 300
"""Characters shown of one text from outside: a name, a reason."""

BARS = "▁▂▃▄▅▆▇█"


def sanitize(text: str) -> str:
    """Makes a text from outside safe to show on one line, and not too long for it.

    What would act rather than show is spelled out: a newline, an escape, a change of writing direction.

    >>> clean("one\\ntwo")
    'one\\\\ntwo'
    """
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def duration(seconds: float) -> str:
    """Says how long, in at most two units: ``8.4 ms``, ``213 ms``, ``12.3 s``, ``5 min 03 s``, ``2 d 04 h``."""
    seconds = max(0.0, seconds)
    # The bounds lie where rounding would write the next unit's number, as in "1000 ms".
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24} d {hours % 24:02} h"


def age(seconds: float) -> str:
    """Says how long, in whole seconds that are over: ``12 s``, ``5 min 03 s``. It changes every second."""
    whole = int(max(0.0, seconds))
    return f"{whole} s" if whole < 60 else duration(whole)


def number(value: int) -> str:
    """A count with its thousands apart: ``12 345``."""
    return f"{value:,}".replace(",", " ")


def count(value: int, noun: str) -> str:
    """A number of things: ``1 pair``, ``12 345 pairs``, ``2 batches``."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{number(value)} {noun}{'' if value == 1 else plural}"


def percent(fraction: float) -> str:
    """A share in percent. What is not all is never rounded to 100, and what is not nothing never to 0."""
    shown = f"{fraction * 100:.1f}"
    if shown == "100.0" and fraction < 1:
        return "99.9"
    if shown == "0.0" and fraction > 0:
        return "0.1"
    return shown


def rate(per_second: float) -> str:
    """How many a second: ``0.3``, ``12``, ``1 234``."""
    return f"{per_second:.1f}" if per_second < 9.95 else number(round(per_second))


def spark(values: Sequence[int]) -> str:
    """A line of bars, as high as the values; a point where there was nothing.

    >>> spark([0, 1, 8])
    '·▁█'
    """
    highest = max(values, default=0)
    return "".join(BARS[math.ceil(value * len(BARS) / highest) - 1] if value else "·" for value in values)


def server(started: Started) -> str:
    """What the worker works on: ``gaq on PostgreSQL 18.1``."""
    return sanitize(f"{started.database} on PostgreSQL {started.server_version}")


def percentiles(of: Percentiles) -> str:
    """``p50 13 ms, p99 210 ms``."""
    return f"p50 {duration(of.p50)}, p99 {duration(of.p99)}"


def data_pass(pair: RefreshedPair | FailedPair | DriftedPair) -> str:
    """The data pass by its name or, when it has none any more, by its id: ``#12``."""
    return sanitize(pair.data_pass) if pair.data_pass else f"#{pair.data_pass_id}"


def pair_name(pair: RefreshedPair | FailedPair | DriftedPair) -> str:
    """Both halves of a pair: ``LHC22o_apass7/526641``."""
    return f"{data_pass(pair)}/{pair.run_number}"


def coverage_change(pair: RefreshedPair) -> str:
    """What became of the good fraction: ``92.1 → 88.4 %``."""
    before, after = pair.good_before, pair.good_after
    if pair.removed:
        return "removed"
    if after is None:
        return "not computable" if before is None else f"{_percent(before)} % → not computable"
    if before is None:
        return f"none → {_percent(after)} %"
    if before == after:
        return f"still {_percent(after)} %"
    return f"{_percent(before)} → {_percent(after)} %"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.1f}"

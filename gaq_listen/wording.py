"""Format durations, counts, fractions and foreign texts for people."""

import math
from collections.abc import Sequence

LONGEST = 300
"""Largest number of characters that is shown of one text from outside, such as a name or a reason."""

BARS = "▁▂▃▄▅▆▇█"


def sanitize(text: str) -> str:
    """Make a text from outside safe to show on one line, and crop it to ``LONGEST`` characters.

    Control characters, such as a newline, an escape or a change of the writing direction, are spelled out.

    >>> sanitize("one\\ntwo")
    'one\\\\ntwo'
    """
    if len(text) > LONGEST:
        text = text[: LONGEST - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def duration(seconds: float) -> str:
    """Format a duration with at most two units: ``8.4 ms``, ``213 ms``, ``12.3 s``, ``5 min 03 s``, ``2 d 04 h``."""
    seconds = max(0.0, seconds)
    # Each bound is where rounding would reach the next unit, so that "1000 ms" never appears.
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
    """Format a duration in whole elapsed seconds, so that it changes once a second: ``12 s``, ``5 min 03 s``."""
    whole = int(max(0.0, seconds))
    return f"{whole} s" if whole < 60 else duration(whole)


def number(value: int) -> str:
    """Format an integer with spaces between thousands: ``12 345``."""
    return f"{value:,}".replace(",", " ")


def count(value: int, noun: str) -> str:
    """Format a number of things: ``1 pair``, ``12 345 pairs``, ``2 batches``."""
    plural = "es" if noun.endswith("ch") else "s"
    return f"{number(value)} {noun}{'' if value == 1 else plural}"


def data_pass_name(name: str | None, data_pass_id: int) -> str:
    """Return the name of a data pass, safe to print, or its id as ``#12`` if the data pass does not exist any more."""
    return sanitize(name) if name else f"#{data_pass_id}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Join names, and count those beyond the first ``most``: ``a, b and 12 more``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {number(len(names) - most)} more"


def percent(fraction: float) -> str:
    """Format a fraction as a percentage. Only 1 becomes ``100.0``, and only 0 becomes ``0.0``."""
    shown = f"{fraction * 100:.1f}"
    if shown == "100.0" and fraction < 1:
        return "99.9"
    if shown == "0.0" and fraction > 0:
        return "0.1"
    return shown


def rate(per_second: float) -> str:
    """Format a number per second: ``0.3``, ``12``, ``1 234``."""
    return f"{per_second:.1f}" if per_second < 9.95 else number(round(per_second))


def bar_chart(values: Sequence[int]) -> str:
    """Draw one bar for each value, relative to the largest. A point stands for zero.

    >>> bar_chart([0, 1, 8])
    '·▁█'
    """
    highest = max(values, default=0)
    return "".join(BARS[math.ceil(value * len(BARS) / highest) - 1] if value else "·" for value in values)

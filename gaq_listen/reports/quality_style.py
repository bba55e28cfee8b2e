"""The signs and styles of a quality, the same in every report: told apart without colour, and in plain text."""

from collections.abc import Mapping

from rich.text import Text

from gaq_listen.reports.explain.explanation import Quality

SIGNS = {Quality.GOOD: "─", Quality.MC_REPRODUCIBLE: "▒", Quality.BAD: "█", Quality.UNKNOWN: "·"}
STYLES = {Quality.GOOD: "green", Quality.MC_REPRODUCIBLE: "yellow", Quality.BAD: "red", Quality.UNKNOWN: "dim"}


def sign(quality: Quality, width: int = 1) -> Text:
    """So many signs of a quality, in its style."""
    return Text(SIGNS[quality] * width, style=STYLES[quality])


def legend() -> Text:
    """Which sign is which."""
    return Text("  ").join(Text.assemble(sign(quality), f" {quality.value}") for quality in Quality)


def bar(shares: Mapping[Quality, float], width: int) -> Text:
    """The shares of a run, each from 0 to 1, side by side; what is left of it is unknown.

    However small, a share that is not nothing shows.
    """
    left = max(0.0, 1 - sum(shares.values()))
    # Sums of floats: a left-over of a billionth is none.
    whole = dict(shares) | {Quality.UNKNOWN: left if left > 1e-9 else 0.0}
    cells = {quality: max(round(share * width), 1) if share > 0 else 0 for quality, share in whole.items()}
    largest = max(cells, key=lambda quality: cells[quality])
    cells[largest] += width - sum(cells.values())
    return Text().join(sign(quality, cells.get(quality, 0)) for quality in Quality)

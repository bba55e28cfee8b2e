"""Draw qualities alike in every report: readable without colour, and in plain text."""

from rich.text import Text

from gaq_listen.reports.quality import Quality, with_unknown

SIGNS = {Quality.GOOD: "─", Quality.MC_REPRODUCIBLE: "▒", Quality.BAD: "█", Quality.UNKNOWN: "·"}
STYLES = {Quality.GOOD: "green", Quality.MC_REPRODUCIBLE: "yellow", Quality.BAD: "red", Quality.UNKNOWN: "dim"}


def sign(quality: Quality, width: int = 1) -> Text:
    """Return the sign of a quality, ``width`` times, in its style."""
    return Text(SIGNS[quality] * width, style=STYLES[quality])


def legend() -> Text:
    """Return a line that names the quality of each sign."""
    return Text("  ").join(Text.assemble(sign(quality), f" {quality.value}") for quality in Quality)


def bar(shares: dict[Quality, float], width: int) -> Text:
    """Draw the shares of a run, each from 0 to 1, side by side. What is left of the run is drawn as unknown.

    Every share that is not nothing has at least one column.
    """
    whole = with_unknown(shares)
    cells = {quality: max(round(share * width), 1) if share > 0 else 0 for quality, share in whole.items()}
    largest = max(cells, key=lambda quality: cells[quality])
    cells[largest] += width - sum(cells.values())
    return Text().join(sign(quality, cells[quality]) for quality in Quality)

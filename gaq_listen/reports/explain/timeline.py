"""Draw a run from left to right: a row for each detector, their aggregate below, and the time above."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.text import Text

from gaq_listen.reports.explain.explanation import Explanation, Span
from gaq_listen.reports.quality import Quality
from gaq_listen.reports.quality_style import legend, sign
from gaq_listen.wording import sanitize

# A column shows the first of these that occurs in its time.
_WORST = (Quality.BAD, Quality.MC_REPRODUCIBLE, Quality.UNKNOWN, Quality.GOOD)
_CLOCK = "%H:%M"
_NARROWEST = 20
_LONGEST_NAME = 12


def timeline(pair: Explanation, width: int) -> list[Text]:
    """Return the lines, at most ``width`` columns wide; none if the QC time of the run is unknown."""
    if pair.window is None:
        return []
    names = {detector: sanitize(name)[:_LONGEST_NAME] for detector, name in pair.detectors}
    label = max([3, *map(len, names.values())])
    columns = max(_NARROWEST, width - label - 4)
    rows = [Text(f"  {'':{label}}  {_axis(pair.window, columns)}", style="dim")]
    for detector, name in names.items():
        spans = [(span, flag.quality) for flag in pair.flags if flag.detector_id == detector for span in flag.effective]
        rows.append(Text.assemble(f"  {name:<{label}}  ", _row(pair.window, spans, columns)))
    if names:
        together = [(period.span, period.quality) for period in pair.periods]
        rows.append(Text.assemble((f"  {'all':<{label}}  ", "bold"), _row(pair.window, together, columns)))
    rows.append(Text.assemble(f"  {'':{label}}  ", legend()))
    return rows


def _row(window: Span, spans: Sequence[tuple[Span, Quality]], columns: int) -> Text:
    cells: list[set[Quality]] = [set() for _ in range(columns)]
    covered = [timedelta()] * columns
    edges = [_at(window, column, columns) for column in range(columns + 1)]
    for (start, end), quality in spans:
        for column in range(columns):
            part = min(end, edges[column + 1]) - max(start, edges[column])
            if part > timedelta():
                cells[column].add(quality)
                covered[column] += part
    row = Text()
    for column, there in enumerate(cells):
        if covered[column] < edges[column + 1] - edges[column]:
            there.add(Quality.UNKNOWN)
        row.append_text(sign(next((worst for worst in _WORST if worst in there), Quality.UNKNOWN)))
    return row


def _at(window: Span, column: int, columns: int) -> datetime:
    return window[0] + (window[1] - window[0]) * column / columns


def _axis(window: Span, columns: int) -> str:
    """Return a line with times at the start, at the end, and in between if there is room, each at its place."""
    parts = 4 if columns >= 40 else 2 if columns >= 22 else 1
    axis = [" "] * columns
    for part in range(parts + 1):
        time = _at(window, part, parts).strftime(_CLOCK)
        centre = round(columns * part / parts)
        left = min(max(0, centre - len(time) // 2), columns - len(time))
        axis[left : left + len(time)] = time
    return "".join(axis)

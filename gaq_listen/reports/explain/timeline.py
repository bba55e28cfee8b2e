"""The run from left to right: one row a detector, what it is of all of them below, the time above. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from rich.text import Text

from gaq_listen.reports.explain.explanation import Explanation, Quality, Span
from gaq_listen.reports.quality_style import legend, sign
from gaq_listen.wording import sanitize

# What a column shows of what there is in its time: the first of these.
_WORST = (Quality.BAD, Quality.MC_REPRODUCIBLE, Quality.UNKNOWN, Quality.GOOD)
_CLOCK = "%H:%M"
_NARROWEST = 20
_LONGEST_NAME = 12


def timeline(pair: Explanation, width: int) -> list[Text]:
    """Its lines, at most ``width`` columns wide; none when the time of the run is not known."""
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
    """Times at the start, between, and at the end: as many as there is room for, each where it stands."""
    parts = 4 if columns >= 40 else 2 if columns >= 22 else 1
    axis = [" "] * columns
    for part in range(parts + 1):
        time = _at(window, part, parts).strftime(_CLOCK)
        centre = round(columns * part / parts)
        left = min(max(0, centre - len(time) // 2), columns - len(time))
        axis[left : left + len(time)] = time
    return "".join(axis)

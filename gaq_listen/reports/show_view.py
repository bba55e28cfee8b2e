"""Draw the summaries of a data pass: a table for people, CSV and JSON for programs."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaq_listen.reports.quality import Quality
from gaq_listen.reports.quality_style import STYLES, bar, legend
from gaq_listen.reports.show import DataPassSummaries, Selection, Summary
from gaq_listen.reports.totals import DataPassTotals, totals
from gaq_listen.wording import count, duration, number, percent, sanitize

_WIDE = 92
"""Columns of a terminal from which on the table shows how long a summary has been stale, beside since when."""

_NARROW = 76
"""Columns of a terminal below which the table shows only the run, the good and the bad fraction, and the state."""


def render(shown: DataPassSummaries, selection: Selection, width: int) -> RenderableType:
    """Draw a table of coverages in percent of the run, and their totals, on a terminal of ``width`` columns."""
    title = Text.assemble((sanitize(shown.name), "bold"), f"  {count(len(shown.summaries), 'run')}")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    columns = _columns(selection, shown.at, width)
    for heading, _ in columns:
        table.add_column(heading, justify="left" if heading in ("", "state") else "right", no_wrap=True)
    for summary in shown.summaries:
        table.add_row(*(cell(summary) for _, cell in columns))
    last = total_line(totals(shown.summaries))
    if width < _NARROW:
        return Group(title, table, last)
    notes = "unver.: flags without verification; undef.: periods in which a detector has no flag"
    return Group(title, table, legend(), Text(notes, style="dim"), last)


def total_line(total: DataPassTotals) -> Text:
    """Write totals in one line: runs and hours, coverages, and what is still to be done."""
    line = Text.assemble(("together", "bold"), f"  {count(total.runs, 'run')}, {total.hours:.1f} h")
    if total.bad_run_coverage is not None:
        line.append(": ")
        shares = (
            ("good", STYLES[Quality.GOOD], total.explicitly_not_bad_run_coverage),
            ("MC reproducible", STYLES[Quality.MC_REPRODUCIBLE], total.mc_reproducible_coverage),
            ("bad", STYLES[Quality.BAD], total.bad_run_coverage),
            ("undecided", STYLES[Quality.UNKNOWN], total.undecided_coverage),
        )
        line.append_text(Text(", ").join(Text(f"{name} {_percent(share)} %", style) for name, style, share in shares))
    todo = (
        f"not computable {number(total.not_computable)}",
        f"missing verifications {number(total.missing_verifications)}",
        f"stale {number(total.stale)}",
    )
    return line.append(f"; {', '.join(todo)}")


def _columns(selection: Selection, now: datetime, width: int) -> list[tuple[str, Callable[[Summary], Text | str]]]:
    """Return the headings, each with the function that fills its column."""
    mc_as_not_bad = selection.mc_as_not_bad
    # Seven columns stand beside the bar, with two spaces between them.
    bar_width = max(6, min(40, width - (92 if width >= _WIDE else 68)))
    columns: list[tuple[str, Callable[[Summary], Text | str]]] = [
        ("run", lambda summary: str(summary.run_number)),
        ("", lambda summary: _bar(summary, bar_width)),
        ("not bad %" if mc_as_not_bad else "good %", lambda summary: _percent(summary.good(mc_as_not_bad))),
        ("MC %", lambda summary: _percent(summary.mc_reproducible_coverage)),
        ("bad %", lambda summary: _percent(summary.bad_run_coverage)),
        ("unver.", lambda summary: _count(summary.missing_verifications_count)),
        ("undef.", lambda summary: _count(summary.undefined_quality_periods_count)),
        ("state", lambda summary: _state(summary, now, width)),
    ]
    return columns if width >= _NARROW else [columns[0], columns[2], columns[4], columns[7]]


def _bar(summary: Summary, width: int) -> Text:
    good, mc_reproducible = summary.explicitly_not_bad_run_coverage, summary.mc_reproducible_coverage
    if good is None or mc_reproducible is None or summary.bad_run_coverage is None:
        return Text()
    return bar(
        {Quality.GOOD: good, Quality.MC_REPRODUCIBLE: mc_reproducible, Quality.BAD: summary.bad_run_coverage}, width
    )


def _percent(coverage: float | None) -> str:
    return "" if coverage is None else percent(coverage)


def _count(number: int | None) -> str:
    return "" if number is None else str(number)


def _state(summary: Summary, now: datetime, width: int) -> Text:
    computed = {None: "never computed", True: "not computable", False: ""}[summary.not_computable]
    if summary.invalidated_at is None:
        return Text(computed or "fresh") if not summary.computed_now else Text(f"{computed or 'computed'} now")
    if computed:
        return Text(f"{computed}, stale" if width >= _NARROW else computed, style="yellow")
    age = duration((now - summary.invalidated_at).total_seconds())
    since = f"{summary.invalidated_at:%m-%d %H:%M:%S}"
    shown = f"{since}, {age}" if width >= _WIDE else since if width >= _NARROW else age
    return Text(f"stale {shown}", style="yellow")


def as_json(shown: DataPassSummaries, mc_as_not_bad: bool = False) -> str:
    """Return a JSON object: the data pass, the totals, and a list of the summaries."""
    return json.dumps(
        {
            "data_pass_id": shown.data_pass_id,
            "data_pass": shown.name,
            "at": shown.at.isoformat(),
            "live": shown.live,
            "totals": totals(shown.summaries).as_json(),
            "summaries": list(_rows(shown, mc_as_not_bad)),
        },
        indent=2,
    )


def as_csv(shown: DataPassSummaries, mc_as_not_bad: bool = False) -> str:
    """Return a line of column names, and a line for each summary. A missing value is an empty text."""
    written = io.StringIO()
    writer = csv.DictWriter(written, _NAMES, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_rows(shown, mc_as_not_bad))
    return written.getvalue()


_NAMES = ["data_pass_id", "data_pass", *(field.name for field in fields(Summary)), "not_bad_fraction"]


def _rows(shown: DataPassSummaries, mc_as_not_bad: bool) -> Iterator[dict[str, Any]]:
    for summary in shown.summaries:
        yield {"data_pass_id": shown.data_pass_id, "data_pass": shown.name} | summary.as_json(mc_as_not_bad)

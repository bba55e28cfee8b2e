"""Puts the figures into the documentation, between lines that ask for them.

``<!-- figures: compute -->`` asks for all of a scenario, ``<!-- figures: writers brief -->`` for a line a figure, and
``<!-- figures: circumstances -->`` for where and when all that was measured; ``<!-- end of figures -->`` ends each.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.report import Results, amount, rows
from benchmarks.scenarios import SCENARIOS

DOCS = Path(__file__).parents[1] / "docs"
_ASKED = re.compile(r"(<!-- figures: ([\w ]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def write(results: Results) -> list[str]:
    """Fills the files that ask for figures; returns their names."""
    written = []
    for path in sorted(DOCS.glob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = _ASKED.sub(lambda asked: asked[1] + _answer(results, asked[2]) + asked[3], before)
        if after != before:
            path.write_text(after, encoding="utf-8")
        if _ASKED.search(after):
            written.append(path.name)
    return written


def _answer(results: Results, asked: str) -> str:
    scenario, _, how = asked.partition(" ")
    if scenario == "circumstances":
        lines = _circumstances(results)
    elif how == "brief":
        lines = _brief(results.figures(scenario))
    else:
        lines = _whole(results.figures(scenario))
    return "".join(f"{line}\n" for line in lines)


def _whole(figures: list[Figure]) -> Iterator[str]:
    yield "| | who | median | ratio | spread | target |"
    yield "|---|---|---:|---:|---:|---|"
    for figure in figures:
        for number, line in enumerate(rows(figure)):
            yield "| " + " | ".join(("" if number else figure.name, *line)) + " |"


def _brief(figures: list[Figure]) -> Iterator[str]:
    names = list(figures[0].values) if figures else []
    yield "| | " + " | ".join(names) + " |"
    yield "|---|" + "---:|" * len(names)
    for figure in figures:
        cells = [
            amount(figure.value(name), figure.unit) if name == figure.base else _ratio(figure, name) for name in names
        ]
        yield "| " + " | ".join((figure.name, *cells)) + " |"


def _ratio(figure: Figure, name: str) -> str:
    ratios = figure.ratios(name)
    return f"{figure.ratio(name):.2f} ({min(ratios):.2f} … {max(ratios):.2f})"


def _circumstances(results: Results) -> Iterator[str]:
    """A line for what scenarios have in common, and the load that each found."""
    measured = {name: results.scenarios[name] for name in SCENARIOS if name in results.scenarios}
    common = {
        f"PostgreSQL {facts['postgresql']}, gaq-listen {facts['gaq_listen']}, Python {facts['python']}, "
        f"psycopg {facts['psycopg']}, PgQueuer {facts['pgqueuer']}, procrastinate {facts['procrastinate']}; "
        f"{facts['cores']} cores ({facts['processor']}), shared by server, clients and workers; "
        f"data on {facts['data_on']}."
        for facts in measured.values()
    }
    yield from sorted(common)
    yield ""
    when = [
        f"{name} {facts['measured_at'][:16].replace('T', ' ')} ({facts['load_before']})"
        for name, facts in measured.items()
    ]
    yield "When, in UTC, and the machine's load before: " + ", ".join(when) + "."

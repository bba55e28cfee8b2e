"""Put the figures into the documentation, between two comments.

The first comment says which figures, and ``<!-- end of figures -->`` is the second:

- ``<!-- figures: compute -->``: all figures of a scenario.
- ``<!-- figures: writers tx/s -->``: the figures of one unit.
- ``<!-- figures: writers brief -->``: one line for each figure of the first unit.
- ``<!-- figures: writers brief /s -->``: one line for each figure of another unit.
- ``<!-- figures: circumstances -->``: where and when the scenarios were measured.

With ``disk`` before the name, as in ``disk writers brief``, the data was on a disk and not in memory.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.report import Results, amount, rows
from benchmarks.scenarios import SCENARIOS

DOCS = Path(__file__).parents[1] / "docs"
_ASKED = re.compile(r"(<!-- figures: ([\w /%]+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)


def write(memory: Results, disk: Results) -> list[str]:
    """Put the figures of both kinds into the pages that have such comments, and return the names of the pages."""
    written = []
    for path in sorted(DOCS.rglob("*.md")):
        before = path.read_text(encoding="utf-8")
        after = _ASKED.sub(lambda asked: asked[1] + _answer(memory, disk, asked[2]) + asked[3], before)
        if after != before:
            path.write_text(after, encoding="utf-8")
        if _ASKED.search(after):
            written.append(path.name)
    return written


def _answer(memory: Results, disk: Results, asked: str) -> str:
    results = disk if asked.startswith("disk ") else memory
    scenario, _, how = asked.removeprefix("disk ").partition(" ")
    if scenario == "circumstances":
        lines = _circumstances(results)
    elif how.startswith("brief"):
        lines = _brief(results.figures(scenario), how.removeprefix("brief").strip())
    else:
        lines = _whole([figure for figure in results.figures(scenario) if how in ("", figure.unit)])
    return "".join(f"{line}\n" for line in lines)


def _whole(figures: list[Figure]) -> Iterator[str]:
    yield "| | who | median | ratio | spread | target |"
    yield "|---|---|---:|---:|---:|---|"
    for figure in figures:
        for number, line in enumerate(rows(figure)):
            yield "| " + " | ".join(("" if number else figure.name, *line)) + " |"


def _brief(figures: list[Figure], unit: str) -> Iterator[str]:
    """Yield one line for each figure. The base has its unit, and the others are ratios, unless ``unit`` is named."""
    wanted = unit or (figures[0].unit if figures else "")
    chosen = [figure for figure in figures if figure.unit == wanted]
    names = list(chosen[0].values) if chosen else []
    yield "| | " + " | ".join(names) + " |"
    yield "|---|" + "---:|" * len(names)
    for figure in chosen:
        plain = names if unit else [figure.base]
        cells = [amount(figure.value(name), figure.unit) if name in plain else _ratio(figure, name) for name in names]
        yield "| " + " | ".join((figure.name, *cells)) + " |"


def _ratio(figure: Figure, name: str) -> str:
    ratios = figure.ratios(name)
    spread = f" ({min(ratios):.2f} … {max(ratios):.2f})" if len(ratios) > 1 else ""
    return f"{figure.ratio(name):.2f}{spread}"


def _circumstances(results: Results) -> Iterator[str]:
    """Yield a line with what the scenarios have in common, and a line with the date and the load of each."""
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

"""The summaries of a data pass, as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from rich.table import Table
from rich.text import Text

from gaq_listen.errors import UnknownName
from gaq_listen.observe.text import clean

_FIND = """
select id, name from gaq.source_data_passes
where name = %(wanted)s or id::text = %(wanted)s
order by name = %(wanted)s desc limit 1
"""
_SUMMARIES = """
select run_number, bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,
       missing_verifications_count, undefined_quality_periods_count, not_computable, invalidated_at
from gaq.current_summaries where data_pass_id = %s order by run_number
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of ``gaq_summaries``: coverages from 0 to 1; None: not computable, or not computed yet."""

    run_number: int
    bad_run_coverage: float | None
    explicitly_not_bad_run_coverage: float | None
    mc_reproducible_coverage: float | None
    missing_verifications_count: int | None
    undefined_quality_periods_count: int | None
    not_computable: bool | None
    invalidated_at: datetime | None


def data_pass(connection: Connection[TupleRow], wanted: str) -> tuple[int, str]:
    """Id and name of a data pass that is given by either; a name goes before an id.

    Raises:
        UnknownName: there is none.
    """
    found = connection.execute(_FIND, {"wanted": wanted}).fetchone()
    if found is None:
        raise UnknownName(f"no data pass has the name or id {wanted!r}")
    return int(found[0]), str(found[1])


def read(connection: Connection[TupleRow], data_pass_id: int, runs: Sequence[int] = ()) -> list[Summary]:
    """The summaries of a data pass by run number: all, or those of ``runs``.

    Raises:
        UnknownName: some of the runs have no summary in this data pass.
    """
    with connection.cursor(row_factory=class_row(Summary)) as cursor:
        cursor.execute(_SUMMARIES, (data_pass_id,))
        summaries = cursor.fetchall()
    missing = set(runs) - {summary.run_number for summary in summaries}
    if missing:
        raise UnknownName(f"not in this data pass: run {', '.join(map(str, sorted(missing)))}")
    return [summary for summary in summaries if not runs or summary.run_number in runs]


def render(name: str, summaries: Sequence[Summary]) -> Table:
    """For people: coverages in percent of the run."""
    table = Table(title=Text(clean(name)), box=None, title_justify="left", pad_edge=False)
    table.add_column("run", justify="right")
    for column in ("good", "MC repr.", "bad", "unverified", "undefined"):
        table.add_column(column, justify="right")
    table.add_column("state")
    for summary in summaries:
        table.add_row(
            str(summary.run_number),
            _percent(summary.explicitly_not_bad_run_coverage),
            _percent(summary.mc_reproducible_coverage),
            _percent(summary.bad_run_coverage),
            _count(summary.missing_verifications_count),
            _count(summary.undefined_quality_periods_count),
            _state(summary),
        )
    return table


def _percent(coverage: float | None) -> str:
    return "" if coverage is None else f"{coverage * 100:.1f} %"


def _count(number: int | None) -> str:
    return "" if number is None else str(number)


def _state(summary: Summary) -> str:
    computed = {None: "never computed", True: "not computable", False: ""}[summary.not_computable]
    stale = f"stale since {summary.invalidated_at:%m-%d %H:%M:%S}" if summary.invalidated_at else ""
    return ", ".join(filter(None, (computed, stale))) or "fresh"

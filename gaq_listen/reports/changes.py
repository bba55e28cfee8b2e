"""Read what refreshes changed from ``gaq.changes``, and describe it in words."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow, class_row
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from gaq_listen.reports.json_values import plain
from gaq_listen.wording import count, data_pass_name, sanitize

_CHANGES = """
select c.changed_at, c.data_pass_id, named.name as data_pass, c.run_number, c.cause, c.refreshed_by, c.removed,
       c.bad_before, c.bad_after, c.good_before, c.good_after, c.mc_reproducible_before, c.mc_reproducible_after,
       c.missing_verifications_before, c.missing_verifications_after,
       c.undefined_quality_periods_before, c.undefined_quality_periods_after,
       c.not_computable_before, c.not_computable_after
from gaq.changes c
left join gaq.source_data_passes named on named.id = c.data_pass_id
where c.data_pass_id = coalesce(%(data_pass_id)s, c.data_pass_id)
  and c.run_number = coalesce(%(run_number)s, c.run_number)
  and (%(since)s::float8 is null or c.changed_at >= clock_timestamp() - make_interval(secs => %(since)s))
order by c.changed_at desc
limit %(at_most)s
"""
_RETENTION = "select date_part('epoch', keep_changes) from gaq.settings"
_SET_RETENTION = "select date_part('epoch', gaq.keep_changes(make_interval(secs => %s)))"


@dataclass(frozen=True, slots=True)
class SummaryChange:
    """Hold a row of ``gaq.changes``. Coverages are from 0 to 1, and None if there was no value.

    ``not_computable_before`` is None if there was no summary before. ``removed``: the run left the data pass.
    """

    changed_at: datetime
    data_pass_id: int
    data_pass: str | None
    run_number: int
    cause: str | None
    refreshed_by: str | None
    removed: bool
    bad_before: float | None
    bad_after: float | None
    good_before: float | None
    good_after: float | None
    mc_reproducible_before: float | None
    mc_reproducible_after: float | None
    missing_verifications_before: int | None
    missing_verifications_after: int | None
    undefined_quality_periods_before: int | None
    undefined_quality_periods_after: int | None
    not_computable_before: bool | None
    not_computable_after: bool | None

    def as_json(self) -> dict[str, Any]:
        """Return the values by name, with the time in ISO 8601."""
        values: dict[str, Any] = plain(asdict(self))
        return values

    def description(self) -> str:
        """Describe how the values changed: ``good 92.1 → 88.4 %, bad 5.0 → 8.7 %``."""
        if self.removed:
            return "removed: the run left the data pass"
        if self.not_computable_after:
            return (
                "not computable"
                if self.good_before is None
                else f"good {_percent(self.good_before)} % → not computable"
            )
        if self.not_computable_before is None:
            values = ("good", self.good_after), ("MC reproducible", self.mc_reproducible_after), ("bad", self.bad_after)
            return f"first values: {', '.join(f'{name} {_percent(share or 0)} %' for name, share in values)}"
        shares = (
            ("good", self.good_before, self.good_after),
            ("MC reproducible", self.mc_reproducible_before, self.mc_reproducible_after),
            ("bad", self.bad_before, self.bad_after),
        )
        counts = (
            ("missing verifications", self.missing_verifications_before, self.missing_verifications_after),
            ("undefined periods", self.undefined_quality_periods_before, self.undefined_quality_periods_after),
        )
        parts = [f"{name} {_shares(before, after)}" for name, before, after in shares if before != after]
        parts += [f"{name} {_or_none(before)} → {after}" for name, before, after in counts if before != after]
        return ", ".join(parts)


def read(
    connection: Connection[TupleRow],
    data_pass_id: int | None = None,
    run_number: int | None = None,
    since: float | None = None,
    at_most: int = 1000,
) -> list[SummaryChange]:
    """Read changes, the newest last: of all data passes, of one, or of one run in it.

    ``since`` is in seconds before now; None: all changes that are kept. If there are more than ``at_most`` changes,
    the newest of them are returned.
    """
    arguments = {"data_pass_id": data_pass_id, "run_number": run_number, "since": since, "at_most": at_most}
    with connection.cursor(row_factory=class_row(SummaryChange)) as cursor:
        cursor.execute(_CHANGES, arguments)
        return cursor.fetchall()[::-1]


def retention(connection: Connection[TupleRow]) -> float:
    """Return for how many seconds the database keeps changes. 0: it keeps none."""
    ((seconds,),) = connection.execute(_RETENTION).fetchall()
    return float(seconds)


def set_retention(connection: Connection[TupleRow], seconds: float) -> float:
    """Set for how many seconds the database keeps changes. Return the earlier setting."""
    ((before,),) = connection.execute(_SET_RETENTION, (seconds,)).fetchall()
    return float(before)


def render(changes: Sequence[SummaryChange]) -> RenderableType:
    """Draw one change after the other: when and what, and below it why and by which worker."""
    parts: list[RenderableType] = []
    for change in changes:
        name = data_pass_name(change.data_pass, change.data_pass_id)
        parts.append(
            Text.assemble(f"{change.changed_at:%Y-%m-%d %H:%M:%S}  ", (f"{name} / {change.run_number}", "bold"))
        )
        parts += [Padding(Text(line), (0, 0, 0, 4), expand=False) for line in (change.description(), reason(change))]
    parts.append(Text(f"{count(len(changes), 'change')}; times in UTC", style="dim"))
    return Group(*parts)


def reason(change: SummaryChange) -> str:
    """Return what had made the summary stale, and which worker refreshed it."""
    cause = sanitize(change.cause) if change.cause else "unknown"
    return f"because of: {cause}" + (f", by {sanitize(change.refreshed_by)}" if change.refreshed_by else "")


def as_json(changes: Sequence[SummaryChange]) -> str:
    """Return the changes as a JSON list, in their order."""
    return json.dumps([change.as_json() for change in changes], indent=2)


def _shares(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        shown = ("none" if share is None else f"{_percent(share)} %" for share in (before, after))
        return " → ".join(shown)
    digits = 1 if f"{before * 100:.1f}" != f"{after * 100:.1f}" else 3
    return f"{before * 100:.{digits}f} → {after * 100:.{digits}f} %"


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.1f}"


def _or_none(value: int | None) -> str:
    return "none" if value is None else str(value)

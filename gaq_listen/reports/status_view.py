"""Draw a status, for people."""

from collections.abc import Iterator
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaq_listen.reports.status import Status, WorkerRow
from gaq_listen.wording import count, data_pass_name, duration, number, percent, sanitize

SHOWN = 5
"""Most failures to show. The view counts the others."""


def render(status: Status) -> RenderableType:
    """Draw the whole status, one topic a line."""
    word, style = ("FRESH", "bold green") if status.good else ("NOT FRESH", "bold red")
    why = "; ".join(status.wrong()) or f"nothing has been stale for longer than {duration(status.objective)}"
    head = Text.assemble((word, style), f"  {why}")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for label, text in _lines(status):
        table.add_row(Text(label, style="bold"), text)
    return Group(head, table)


def _lines(status: Status) -> Iterator[tuple[str, Text]]:
    yield "as of", Text(f"{_time(status.at)} UTC")
    yield "backlog", _backlog(status)
    yield "freshness", _freshness(status)
    if status.paused:
        reason = f": {sanitize(status.paused.reason)}" if status.paused.reason else ""
        since = f"since {_time(status.paused.paused_at)} ({_ago(status, status.paused.paused_at)})"
        yield "PAUSED", Text(f"by {sanitize(status.paused.paused_by)} {since}{reason}", style="yellow")
    alive = [worker for worker in status.workers if worker.alive]
    if not alive:
        yield "workers", Text("none is running: start one with gaq-listen run", style="yellow")
    for label, worker in zip(["workers", *[""] * len(status.workers)], status.workers, strict=False):
        yield label if alive else "", _worker(status, worker)
    yield (
        "failures",
        Text("none")
        if not status.failures
        else Text(f"{count(len(status.failures), 'pair')}; see: gaq-listen failures", style="red"),
    )
    for failure in status.failures[:SHOWN]:
        name = data_pass_name(failure.data_pass, failure.data_pass_id)
        tries = count(failure.attempts, "time")
        yield "", Text(f"{name}/{failure.run_number}, {tries}: {sanitize(failure.error)}", style="red")
    last = f"; the last refresh {_time(status.last_refresh)}" if status.last_refresh else ""
    yield (
        "summaries",
        Text(f"{number(status.summaries)}, of them {number(status.not_computable)} not computable{last}"),
    )
    yield "triggers", _triggers(status)
    for label, change in zip(["sources", *[""] * len(status.source_changes)], status.source_changes, strict=False):
        yield label, Text(sanitize(change), style="red")


def _backlog(status: Status) -> Text:
    if status.stale_since is None or status.seconds_stale is None:
        return Text("nothing is stale")
    style = "red" if status.seconds_stale > status.objective else ""
    return Text(
        f"{count(status.stale_pairs, 'pair')} stale, the oldest since {_time(status.stale_since)} "
        f"({duration(status.seconds_stale)})",
        style=style,
    )


def _freshness(status: Status) -> Text:
    if status.p50_seconds is None or status.p99_seconds is None or status.within_objective is None:
        return Text("nothing was refreshed in the last 5 min")
    return Text(
        f"{count(status.refreshed, 'pair')} refreshed in the last 5 min: p50 {duration(status.p50_seconds)}, "
        f"p99 {duration(status.p99_seconds)}, {percent(status.within_objective)} % within {duration(status.objective)}"
    )


def _worker(status: Status, worker: WorkerRow) -> Text:
    name = sanitize(worker.name)
    if not worker.alive:
        return Text(f"{name} is gone, last seen {_ago(status, worker.seen_at)} ago", style="yellow")
    where = "" if worker.name.startswith(worker.host) else f" on {sanitize(worker.host)}"
    swept = "not swept yet"
    if worker.swept_at is not None:
        found = number(worker.swept_found) if worker.swept_found else "nothing"
        swept = f"swept {_ago(status, worker.swept_at)} ago: {found}; all sweeps: {number(worker.found_by_sweeps)}"
    # A worker at rest reports with each sweep only, so its counts stand with their age.
    done = f"{count(worker.pairs, 'pair')} in {count(worker.batches, 'batch')} as of {_ago(status, worker.seen_at)} ago"
    style = "red" if worker.state == "broken" else ""
    return Text(
        f"{name}{where}: {sanitize(worker.state)}, up {_ago(status, worker.started_at)}, {done}, {swept}", style
    )


def _triggers(status: Status) -> Text:
    wrong = [
        f"{number} {what}"
        for number, what in ((status.triggers_disabled, "NOT enabled"), (status.triggers_missing, "MISSING"))
        if number
    ]
    if wrong:
        return Text(f"{', '.join(wrong)}, {status.triggers_enabled} in order; see: gaq-listen doctor", style="red")
    return Text(f"{status.triggers_enabled}, all in order")


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _ago(status: Status, at: datetime) -> str:
    return duration((status.at - at).total_seconds())

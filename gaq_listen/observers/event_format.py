"""What scrolls by above the panel of the live console: one line an event. Pure.

Whatever comes from outside is shown as ``Text``: it is never read as markup.
"""

from datetime import UTC, datetime
from itertools import groupby
from typing import assert_never

from rich.text import Text

from gaq_listen.observers.logfmt import worth_a_line
from gaq_listen.observers.staleness import Staleness
from gaq_listen.observers.wording import (
    count,
    coverage_change,
    data_pass,
    duration,
    pair_name,
    percentiles,
    sanitize,
    server,
)
from gaq_listen.worker import events

PAIRS_NAMED = 4
"""Pairs of a batch that are named; the others are counted."""

NAME = 24
"""Characters of a data pass's name that are shown; of a longer one, both ends."""


def format_event(event: events.Event, at: datetime, staleness: Staleness | None = None) -> Text | None:
    """The line for an event; None when there is nothing worth a line.

    ``staleness``, when given, is summed up where the worker has stopped.
    """
    if not worth_a_line(event):
        return None
    said = _said(event, staleness)
    if isinstance(event, events.Stopped):
        # The time of day stands before the lines above it; without it, the summary fits 80 columns.
        return said
    time = at.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]
    return Text.assemble((time, "dim"), "  ", said)


def left_out(lines: int) -> Text:
    """Stands for lines that could not be shown in time."""
    return Text(f"{count(lines, 'line')} left out: the terminal did not take them", style="yellow")


def _said(event: events.Event, staleness: Staleness | None) -> Text:
    match event:
        case events.BatchRefreshed((pair,), _, _, by_sweep):
            return _one(pair, by_sweep)
        case events.BatchRefreshed():
            return _many(event)
        case events.Started():
            who = f" as {sanitize(event.worker)}" if event.worker else ""
            return Text(f"connected to {server(event)}{who}", style="green")
        case events.Listening():
            return Text("listening: a change is noticed at once", style="green")
        case events.Polling(reason, seconds):
            return Text(f"polling every {duration(seconds)}: {sanitize(reason)}", style="yellow")
        case events.PairsFailed(pairs):
            more = f" +{len(pairs) - 1}" if len(pairs) > 1 else ""
            failed = pairs[0]
            when = f"next try in {duration(failed.next_try)}"
            return Text(f"failed, {when}: {pair_name(failed)}{more}: {sanitize(failed.error)}", style="red")
        case events.CaughtUp(rounds):
            after = f" after {count(rounds, 'round')}" if rounds else ""
            return Text(f"not behind any more{after}", style="green")
        case events.Behind(pairs_left):
            return Text(f"behind: {count(pairs_left, 'stale pair')} left", style="yellow")
        case events.Paused(by, seconds, reason):
            why = f": {sanitize(reason)}" if reason else ""
            return Text(f"paused by {sanitize(by)} {duration(seconds)} ago{why}", style="yellow")
        case events.Resumed(after):
            return Text(f"resumed after {duration(after)}", style="green")
        case events.Audited(_, drifted):
            names = ", ".join(pair_name(pair) for pair in drifted[:PAIRS_NAMED])
            more = f" +{len(drifted) - PAIRS_NAMED}" if len(drifted) > PAIRS_NAMED else ""
            return Text(f"DRIFT: {count(len(drifted), 'pair')} differed, unmarked: {names}{more}", style="red")
        case events.Swept(found):
            return Text(f"the sweep found {count(found, 'pair')} that nothing had announced")
        case events.BacklogCounted() | events.Idle():
            return Text()
        case events.Disconnected(reason, next_try):
            when = f"next try in {duration(next_try)}" if next_try > 0 else "trying again"
            return Text(f"disconnected, {when}: {sanitize(reason)}", style="red")
        case events.Reconnected(after):
            return Text(f"connected again after {duration(after)}", style="green")
        case events.Broken(reason, next_try):
            return Text(f"broken, next try in {duration(next_try)}: {sanitize(reason)}", style="red")
        case events.Repaired(after):
            return Text(f"repaired after {duration(after)}", style="green")
        case events.Blocked(reason, next_try):
            return Text(f"gives way, next try in {duration(next_try)}: {sanitize(reason)}", style="yellow")
        case events.Unblocked(after):
            return Text(f"goes on after {duration(after)}", style="green")
        case events.SourcesChanged(what, fix):
            more = f" +{len(what) - 1}" if len(what) > 1 else ""
            return Text(f"ALARM, run: {fix}: {sanitize(what[0])}{more}", style="red")
        case events.SourcesRestored(after):
            return Text(f"source tables are as they should be again, after {duration(after)}", style="green")
        case events.Stopping(reason):
            return Text(f"stopping: {sanitize(reason)}", style="yellow")
        case events.Stopped():
            return _summary(event, staleness)
    assert_never(event)


def _one(pair: events.RefreshedPair, by_sweep: bool) -> Text:
    before, after = pair.good_before, pair.good_after
    style = ""
    if before is not None and after is not None and before != after:
        style = "green" if after > before else "red"
    # What matters least comes last: it is what a narrow terminal crops.
    return Text.assemble(
        f"{f'{_short(data_pass(pair))}/{pair.run_number}':<22}  ",
        (f"{coverage_change(pair):<15}", style),
        f"  after {duration(pair.seconds_stale):<6}",
        f" {sanitize(pair.causes)}",
        " (by sweep)" if by_sweep else "",
    )


def _short(name: str) -> str:
    half = NAME // 2
    return name if len(name) <= NAME else f"{name[: half - 1]}…{name[-half:]}"


def _many(batch: events.BatchRefreshed) -> Text:
    worst = max((pair.seconds_stale for pair in batch.pairs), default=0.0)
    named = batch.pairs[:PAIRS_NAMED]
    names = ", ".join(f"{_short(name)}/{' '.join(map(_run, pairs))}" for name, pairs in groupby(named, data_pass))
    more = len(batch.pairs) - len(named)
    changed = sum(map(_changed, batch.pairs))
    causes = sorted({cause for pair in batch.pairs for cause in pair.causes.split(", ")})
    return Text.assemble(
        (count(len(batch.pairs), "pair"), "bold"),
        f" in {duration(batch.seconds)}, worst {duration(worst)}, {changed or 'none'} changed",
        f": {sanitize(', '.join(causes))}",
        " (by sweep)" if batch.by_sweep else "",
        f"  {names}",
        f" +{more}" if more > 0 else "",
    )


def _changed(pair: events.RefreshedPair) -> bool:
    return pair.removed or pair.good_before != pair.good_after


def _run(pair: events.RefreshedPair) -> str:
    return f"{pair.run_number} ({coverage_change(pair)})" if _changed(pair) else f"{pair.run_number}"


def _summary(stopped: events.Stopped, staleness: Staleness | None) -> Text:
    work = f"{count(stopped.pairs, 'pair')} in {count(stopped.batches, 'batch')}"
    summary = f"stopped: {work}, {duration(stopped.seconds)}"
    if staleness and (last := staleness.percentiles()):
        of = f" (last {count(last.pairs, 'pair')})" if last.pairs < stopped.pairs else ""
        summary += f", fresh {percentiles(last)}{of}"
    return Text(summary, style="bold")

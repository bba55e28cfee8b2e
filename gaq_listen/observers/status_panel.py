"""Draw the panel at the bottom of the live console, which shows the state of a worker.

All texts are rich's ``Text``, so rich takes nothing in a text from outside for markup.
"""

import math

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from gaq_listen.observers.staleness import KEPT
from gaq_listen.observers.throughput import PARTS, WINDOW
from gaq_listen.observers.worker_state import WorkerState
from gaq_listen.settings import WorkerSettings
from gaq_listen.wording import age, bar_chart, count, duration, number, percent, rate, sanitize

MIDDLE, WIDE = 72, 148
"""Smallest number of columns at which some parts share a line of the panel, and at which they fill two lines."""

_COLOURS = {
    "LISTENING": "green",
    "CONNECTED": "green",
    "DRAINING": "cyan",
    "DISCONNECTED": "red",
    "BROKEN": "red",
    "ALARM": "red",
}
"""Colours of the states. The other states are yellow."""


def status_panel(state: WorkerState, settings: WorkerSettings, now: float, width: int) -> RenderableType:
    """Return the panel for a terminal of ``width`` columns. ``now`` is in monotonic seconds."""
    lines = [Text(" · ").join(parts) for parts in _lines(state, settings, now, width)]
    for line in (first := _state(state, now), *lines):
        line.no_wrap, line.overflow = True, "ellipsis"
    return Panel(
        Group(first, *lines),
        title=_title(state),
        title_align="left",
        subtitle=Text(f"up {age(now - state.began)}, times in UTC"),
        subtitle_align="right",
        box=box.ROUNDED,
        border_style="dim",
        width=width,
    )


def _lines(state: WorkerState, settings: WorkerSettings, now: float, width: int) -> list[list[Text]]:
    """Return the parts of each line below the state."""
    backlog, freshness, failing = _backlog(state), _freshness(state, now), _failing(state)
    last, swept = _last_batch(state, settings, now), _swept(state, settings, now)
    if width >= WIDE:
        return [[backlog, freshness, _throughput(state, now, PARTS)], [last, swept, failing]]
    if width >= MIDDLE:
        throughput = _throughput(state, now, PARTS if width >= 92 else 20)
        return [[backlog, throughput], [freshness], [last], [swept, failing]]
    return [[part] for part in (backlog, freshness, _throughput(state, now, 12), last, swept, failing)]


def _title(state: WorkerState) -> Text:
    started = state.server
    parts = ["gaq-listen"]
    if started:
        parts += [started.server, sanitize(started.worker)]
    return Text(" · ".join(part for part in parts if part), style="not dim bold")


def _state(state: WorkerState, now: float) -> Text:
    word, explanation = state.summary(now)
    return Text.assemble((word, f"bold {_COLOURS.get(word, 'yellow')}"), "  ", explanation)


def _backlog(state: WorkerState) -> Text:
    counted = state.counted
    if counted is None or counted.stale_pairs is None:
        return Text("not counted", style="dim")
    if not counted.stale_pairs:
        return Text("nothing stale")
    colour = "" if state.fresh() else "red"
    return Text(f"{number(counted.stale_pairs)} stale, oldest {duration(counted.seconds_stale)}", style=colour)


def _freshness(state: WorkerState, now: float) -> Text:
    since = now - WINDOW
    percentiles = state.staleness.percentiles(since)
    share = state.staleness.share_within(state.objective, since)
    if percentiles is None or share is None:
        return Text(f"nothing refreshed in {WINDOW / 60:.0f} min", style="dim")
    of_last = f", last {number(KEPT)}" if percentiles.pairs == KEPT else ""
    within = f"{percent(share)} % within {duration(state.objective)}"
    return Text(f"fresh in {percentiles.message()}, {within}{of_last}")


def _throughput(state: WorkerState, now: float, parts: int) -> Text:
    minutes = WINDOW / PARTS * parts / 60
    chart = bar_chart(state.throughput.history(now)[-parts:])
    return Text(f"{rate(state.throughput.per_second(now))} pairs/s {chart} {minutes:.0f} min")


def _last_batch(state: WorkerState, settings: WorkerSettings, now: float) -> Text:
    batch = state.last_batch
    if batch is None:
        return Text("nothing refreshed yet", style="dim")
    woken = "" if state.woken is None else f"woken {age(now - state.woken)} ago · "
    limit = f"{batch.limit} ({settings.min_batch} to {settings.max_batch})"
    return Text(f"{woken}last batch {count(len(batch.pairs), 'pair')} in {duration(batch.seconds)}, of {limit}")


def _swept(state: WorkerState, settings: WorkerSettings, now: float) -> Text:
    at, found = state.swept or (state.began, None)
    last = "not swept yet" if found is None else f"the last sweep found {number(found) if found else 'nothing'}"
    if not state.connected:
        return Text(last)
    # A worker that is busy when a sweep is due emits no event for it, so the time is counted in whole intervals.
    return Text(f"{last}, next in {age(math.ceil(settings.sweep - (now - at) % settings.sweep))}")


def _failing(state: WorkerState) -> Text:
    failing, error = state.failing()
    if not failing:
        return Text("no pair fails")
    return Text(f"{count(failing, 'pair')} failing: {sanitize(error)}", style="red")

"""The panel at the bottom of the live console: how things are. Pure; the clock is passed in, in monotonic seconds.

Whatever comes from outside is shown as ``Text``: it is never read as markup.
"""

import math

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from gaq_listen.observers.staleness import KEPT
from gaq_listen.observers.wording import (
    age,
    count,
    duration,
    number,
    percent,
    percentiles,
    rate,
    sanitize,
    server,
    spark,
)
from gaq_listen.observers.worker_state import BUCKETS, WINDOW, Goals, WorkerState
from gaq_listen.worker import events

MIDDLE, WIDE = 72, 148
"""Columns from which on what belongs together shares a line of the panel: in parts, or all of it."""

_STYLES = {
    "LISTENING": "green",
    "CONNECTED": "green",
    "DRAINING": "cyan",
    "DISCONNECTED": "red",
    "BROKEN": "red",
    "ALARM": "red",
}
"""Of the states; the others are yellow."""


class StatusPanel:
    """How things are: fed with events, rendered at any time."""

    def __init__(self, now: float, aims: Goals | None = None) -> None:
        self._standing = WorkerState(now, aims or Goals())

    @property
    def standing(self) -> WorkerState:
        """What it shows."""
        return self._standing

    def apply(self, event: events.Event, now: float) -> None:
        """Takes note of an event."""
        self._standing.apply(event, now)

    def render(self, now: float, width: int) -> RenderableType:
        """The panel, for a terminal of so many columns."""
        backlog, speed, last, swept, failing = (
            self._stale(),
            self._speed(now),
            self._last(now),
            self._swept(now),
            self._failing(),
        )
        if width >= WIDE:
            lines = [[backlog, speed, self._rate(now, BUCKETS)], [last, swept, failing]]
        elif width >= MIDDLE:
            lines = [[backlog, self._rate(now, BUCKETS if width >= 92 else 20)], [speed], [last], [swept, failing]]
        else:
            lines = [[part] for part in (backlog, speed, self._rate(now, 12), last, swept, failing)]
        shown = [Text(" · ").join(parts) for parts in lines]
        for text in (state := self._state(now), *shown):
            text.no_wrap, text.overflow = True, "ellipsis"
        return Panel(
            Group(state, *shown),
            title=self._title(),
            title_align="left",
            subtitle=Text(f"up {age(now - self._standing.began)}, times in UTC"),
            subtitle_align="right",
            box=box.ROUNDED,
            border_style="dim",
            width=width,
        )

    def _title(self) -> Text:
        started = self._standing.server
        where = f" · {server(started)}" if started else ""
        who = f" · {sanitize(started.worker)}" if started and started.worker else ""
        return Text(f"gaq-listen{where}{who}", style="not dim bold")

    def _state(self, now: float) -> Text:
        word, said = self._standing.state(now)
        return Text.assemble((word, f"bold {_STYLES.get(word, 'yellow')}"), "  ", said)

    def _stale(self) -> Text:
        counted = self._standing.counted
        if counted is None or counted.stale_pairs is None:
            return Text("not counted", style="dim")
        if not counted.stale_pairs:
            return Text("nothing stale")
        style = "" if self._standing.fresh() else "red"
        return Text(f"{number(counted.stale_pairs)} stale, oldest {duration(counted.seconds_stale)}", style=style)

    def _speed(self, now: float) -> Text:
        since, objective = now - WINDOW, self._standing.aims.objective
        found = self._standing.staleness.percentiles(since)
        share = self._standing.staleness.share_within(objective, since)
        if found is None or share is None:
            return Text(f"nothing refreshed in {WINDOW / 60:.0f} min", style="dim")
        window = f", last {number(KEPT)}" if found.pairs == KEPT else ""
        return Text(f"fresh in {percentiles(found)}, {percent(share)} % within {duration(objective)}{window}")

    def _rate(self, now: float, parts: int) -> Text:
        standing = self._standing
        minutes = WINDOW / BUCKETS * parts / 60
        course = spark(standing.course(now)[-parts:])
        return Text(f"{rate(standing.pairs_a_second(now))} pairs/s {course} {minutes:.0f} min")

    def _last(self, now: float) -> Text:
        standing = self._standing
        if standing.last_batch is None:
            return Text("nothing refreshed yet", style="dim")
        _, batch = standing.last_batch
        woken = "" if standing.woken is None else f"woken {age(now - standing.woken)} ago · "
        bounds = f"{standing.aims.min_batch} to {standing.aims.max_batch}"
        size = f"{count(len(batch.pairs), 'pair')} in {duration(batch.seconds)}, of {batch.limit} ({bounds})"
        return Text(f"{woken}last batch {size}")

    def _swept(self, now: float) -> Text:
        standing = self._standing
        every = standing.aims.sweep
        at, found = standing.swept or (standing.began, None)
        last = "not swept yet" if found is None else f"the last sweep found {number(found) if found else 'nothing'}"
        if not standing.serving:
            return Text(last)
        # A sweep that is due while there is work anyway is not told of.
        return Text(f"{last}, next in {age(math.ceil(every - (now - at) % every))}")

    def _failing(self) -> Text:
        failing, error = self._standing.failing()
        if not failing:
            return Text("no pair fails")
        return Text(f"{count(failing, 'pair')} failing: {sanitize(error)}", style="red")

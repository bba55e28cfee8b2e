"""The panel at the bottom of the live console: how things are. Pure; the clock is passed in, in monotonic seconds.

Whatever comes from outside is shown as ``Text``: it is never read as markup.
"""

import math
from typing import TypeAlias, assert_never

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from gaq_listen import events
from gaq_listen.observe.staleness import KEPT, Staleness
from gaq_listen.observe.text import clean, count, duration, number, server, stale, ticking

WINDOW = 300.0
"""Seconds back that the panel's staleness looks."""

WIDE = 72
"""Columns from which on two things share a line of the panel."""

# A backlog counts as being drained for so long after the last full batch or count: nothing tells that it is empty when
# its last batch happened to be full.
_DRAINING = 10.0

State: TypeAlias = (
    events.Started
    | events.Listening
    | events.Polling
    | events.Paused
    | events.Resumed
    | events.Disconnected
    | events.Reconnected
    | events.Stopping
    | events.Stopped
)
"""Events that say what the worker is up to until the next of them."""


class Board:
    """How things are: fed with events, rendered at any time."""

    def __init__(self, now: float) -> None:
        self.staleness = Staleness()
        self._began = now
        self._server: events.Started | None = None
        self._state: State | None = None
        self._state_since = now
        self._pairs_left = 0
        self._left_at = now
        self._batches = 0
        self._pairs = 0
        self._last_batch: events.Batch | None = None
        self._sweep: tuple[float, int] | None = None

    def apply(self, event: events.Event, now: float) -> None:
        """Takes note of an event."""
        match event:
            case events.Batch(pairs, _, limit):
                self._batches += 1
                self._pairs += len(pairs)
                self._last_batch = event
                self._pairs_left = self._pairs_left - len(pairs) if len(pairs) >= limit else 0
                self._left_at = now
                self.staleness.add(now, (pair.seconds_stale for pair in pairs))
            case events.Behind(pairs_left):
                self._pairs_left = pairs_left
                self._left_at = now
            case events.Swept(found):
                self._sweep = (now, found)
            case events.Failed() | events.Recovered() | events.Audited():
                pass
            case _:
                if isinstance(event, events.Started):
                    self._server = event
                # Whoever is stopping goes on stopping, whatever else still happens.
                if not isinstance(self._state, events.Stopping) or isinstance(event, events.Stopped):
                    self._state = event
                    self._state_since = now
                self._pairs_left = 0

    def render(self, now: float, width: int) -> RenderableType:
        """The panel, for a terminal of so many columns."""
        lines = [[self._counts(), self._last()], [self._stale(now), self._swept(now)]]
        if width >= WIDE:
            shown = [Text(" · ").join(parts) for parts in lines]
        else:
            shown = [part for parts in lines for part in parts]
        for text in (state := self._state_line(now), *shown):
            text.no_wrap, text.overflow = True, "ellipsis"
        return Panel(
            Group(state, *shown),
            title=self._title(),
            title_align="left",
            subtitle=Text(f"up {ticking(now - self._began)}, times in UTC"),
            subtitle_align="right",
            box=box.ROUNDED,
            border_style="dim",
            width=width,
        )

    def _title(self) -> Text:
        where = f" · {server(self._server)}" if self._server else ""
        return Text(f"gaq-listen{where}", style="not dim bold")

    def _state_line(self, now: float) -> Text:
        word, style, said = self._state_words(now)
        return Text.assemble((word, f"bold {style}"), "  ", said)

    def _state_words(self, now: float) -> tuple[str, str, str]:
        left = self._pairs_left
        match self._state:
            case events.Started() | events.Listening() | events.Polling() | events.Reconnected() if (
                left > 0 and now - self._left_at < _DRAINING
            ):
                return "DRAINING", "cyan", f"about {count(left, 'pair')} left"
            case None:
                return "CONNECTING", "yellow", "to the database"
            case events.Started():
                return "CONNECTED", "green", ""
            case events.Reconnected(after):
                return "CONNECTED", "green", f"again, after {duration(after)}"
            case events.Listening():
                return "LISTENING", "green", "a change is noticed at once"
            case events.Paused(by, seconds, reason):
                why = f": {clean(reason)}" if reason else ""
                return "PAUSED", "yellow", f"by {clean(by)} {ticking(seconds + now - self._state_since)} ago{why}"
            case events.Resumed(after):
                return "RESUMED", "green", f"after {duration(after)}"
            case events.Polling(reason, seconds):
                return "POLLING", "yellow", f"every {duration(seconds)}: {clean(reason)}"
            case events.Disconnected(reason, next_try):
                wait = math.ceil(self._state_since + next_try - now)
                when = f"next try in {ticking(wait)}" if wait > 0 else "trying again"
                return "DISCONNECTED", "red", f"{when}: {clean(reason)}"
            case events.Stopping(reason):
                return "STOPPING", "yellow", clean(reason)
            case events.Stopped(_, _, seconds):
                return "STOPPED", "yellow", f"after {duration(seconds)}"
        assert_never(self._state)

    def _counts(self) -> Text:
        return Text(f"{count(self._pairs, 'pair')} in {count(self._batches, 'batch')}")

    def _last(self) -> Text:
        if self._last_batch is None:
            return Text("nothing refreshed yet", style="dim")
        batch = self._last_batch
        return Text(f"last {count(len(batch.pairs), 'pair')} in {duration(batch.seconds)}, limit {batch.limit}")

    def _stale(self, now: float) -> Text:
        found = self.staleness.percentiles(since=now - WINDOW)
        if found is None:
            return Text(f"nothing refreshed in {WINDOW / 60:.0f} min", style="dim")
        window = f"{number(KEPT)} pairs" if found.pairs == KEPT else f"{WINDOW / 60:.0f} min"
        return Text(f"{stale(found)} ({window})")

    def _swept(self, now: float) -> Text:
        if self._sweep is None:
            return Text("not swept yet", style="dim")
        at, found = self._sweep
        return Text(f"swept {ticking(now - at)} ago: {count(found, 'pair') if found else 'nothing'}")

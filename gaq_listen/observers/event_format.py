"""Format events as the lines that scroll above the panel of the console."""

from datetime import UTC, datetime

from rich.text import Text

from gaq_listen.observers.staleness import Staleness
from gaq_listen.wording import count
from gaq_listen.worker import events
from gaq_listen.worker.event_base import Severity

COLOURS = {Severity.NEUTRAL: "", Severity.GOOD: "green", Severity.WARNING: "yellow", Severity.ERROR: "red"}


def format_event(event: events.Event, at: datetime, staleness: Staleness | None = None) -> Text | None:
    """Return the line of an event, or None if the console has no line for the event.

    ``staleness`` is summed up in the line of a worker that has stopped. The line is a ``Text``, so rich takes nothing
    in it for markup.
    """
    if not event.logged:
        return None
    if isinstance(event, events.Stopped):
        # The lines above have the time. Without it, the summary fits into 80 columns.
        return Text(event.message() + _freshness(event, staleness), style="bold")
    time = at.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3]
    parts = ((text, COLOURS[severity]) for text, severity in event.message_parts())
    return Text.assemble((time, "dim"), "  ", *parts)


def left_out_line(lines: int) -> Text:
    """Return the line that replaces lines which the terminal did not take in time."""
    return Text(f"{count(lines, 'line')} left out: the terminal did not take them", style=COLOURS[Severity.WARNING])


def _freshness(stopped: events.Stopped, staleness: Staleness | None) -> str:
    percentiles = staleness.percentiles() if staleness else None
    if percentiles is None:
        return ""
    of_last = f" (last {count(percentiles.pairs, 'pair')})" if percentiles.pairs < stopped.pairs else ""
    return f", fresh {percentiles.message()}{of_last}"

"""Write the reference pages of the events and of the metrics from their definitions."""

import re
from collections.abc import Iterator
from dataclasses import fields
from inspect import cleandoc
from typing import Any, get_args

from docs.markdown import page, table
from gaq_listen.observers.event_log import log_line
from gaq_listen.observers.line_formats import JSON, PLAIN
from gaq_listen.observers.metrics import Metrics
from gaq_listen.observers.worker_state import WorkerState
from gaq_listen.worker import events
from gaq_listen.worker.event_pairs import DriftedPair, FailedPair, RefreshedPair
from tests.observers.example_events import AT, ONE_OF_EACH


def described(kind: type[Any]) -> str:
    """Return the docstring of a class as Markdown."""
    return cleandoc(kind.__doc__ or "").replace("``", "`")


def event_part(kind: type[Any], example: events.Event) -> Iterator[str]:
    """Yield the section of an event: what it means, its condition, how it is logged, and its fields."""
    yield from (f"## {kind.__name__}", "")
    yield from (described(kind), "")
    if example.lasting:
        yield from ("Begins a condition that lasts until another event ends it.", "")
    if example.ends:
        yield from (f"Ends the condition of `{example.ends.__name__}`.", "")
    plain = log_line(PLAIN, example, AT)
    if plain is None:
        yield "Neither the log nor the console has a line for it."
    else:
        yield f"Logged as `{example.name}`, with level {example.severity.level}:"
        yield from ("", f"    {plain}", f"    {log_line(JSON, example, AT)}")
        yield from ("", "On the console:", "", f"    {example.message()}")
    if fields(kind):
        yield ""
        yield from _field_table(kind)


def _field_table(kind: type[Any]) -> Iterator[str]:
    return table(("field", "type"), ((f"`{field.name}`", f"`{_type(field.type)}`") for field in fields(kind)))


def _type(annotation: Any) -> str:
    if type(annotation) is type:
        return annotation.__name__
    # Generic types and unions name the modules of their parts.
    return re.sub(r"[\w.]+\.(?=\w)", "", str(annotation))


def parts_of_pairs() -> Iterator[str]:
    """Yield the section of the pairs that events have."""
    yield from ("## Pairs in events", "")
    for kind in (RefreshedPair, FailedPair, DriftedPair):
        yield from (f"### {kind.__name__}", "", described(kind), "")
        yield from _field_table(kind)
        yield ""


def event_page() -> str:
    """Return the page of the events."""
    examples = {type(example): example for example in ONE_OF_EACH}
    return page(
        "Events",
        """
        A worker reports by these values what happened. It calls each observer with each event,
        and so `observe` of [the Python interface](../python.md). The log has a line for most events.
        [Operations](../guides/operations.md) says what an operator has to do about each line.
        """,
        *(event_part(kind, examples[kind]) for kind in get_args(events.Event)),
        parts_of_pairs(),
    )


def metrics() -> str:
    """Return the page of the metrics."""
    state = WorkerState(0.0, objective=1.0)
    for example in (events.Started("gaq", "18.1", "gaq-1"), events.BacklogCounted(0)):
        state.apply(example, 0.0)
    found = sorted(Metrics(state).registry.collect(), key=lambda metric: metric.name)
    rows = []
    for metric in found:
        labels = sorted({label for sample in metric.samples for label in sample.labels} - {"le"})
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        rows.append((f"`{name}`", metric.type, ", ".join(f"`{label}`" for label in labels), metric.documentation))
    return page(
        "Metrics",
        """
        `gaq-listen run --metrics-listen HOST:PORT` serves these at `/metrics`.
        [Monitoring](../guides/monitoring.md) has a dashboard and alerts.
        """,
        table(("metric", "type", "labels", "meaning"), rows),
    )

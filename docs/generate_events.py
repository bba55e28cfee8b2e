"""The pages of the events and of the metrics, from their definitions."""

import re
from collections.abc import Iterator
from dataclasses import fields
from inspect import cleandoc
from typing import Any, get_args

from docs.markdown import page, table
from gaq_listen.observers.json_lines import json_line
from gaq_listen.observers.logfmt import format_line, level
from gaq_listen.observers.metrics import Metrics
from gaq_listen.observers.worker_state import Goals, WorkerState
from gaq_listen.worker import events
from tests.observers.scene import AT, ONE_OF_EACH


def described(kind: type[Any]) -> str:
    """Return the docstring of a class as Markdown."""
    return cleandoc(kind.__doc__ or "").replace("``", "`")


def event_part(kind: type[Any], example: events.Event) -> Iterator[str]:
    """Yield the section of an event: what it means, its fields, and how it is logged."""
    plain = format_line(example, AT)
    yield from (f"## {kind.__name__}", "")
    yield from (described(kind), "")
    if plain is None:
        yield "No line of the log."
    else:
        yield f"Logged as `{events.name_of(example)}`, with level {level(example)}:"
        yield from ("", f"    {plain}", f"    {json_line(example, AT)}")
    rows = [(f"`{field.name}`", f"`{_type(field.type)}`") for field in fields(kind)]
    if rows:
        yield ""
        yield from table(("field", "type"), rows)


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text if text and "[" not in str(annotation) else re.sub(r"[\w.]+\.(?=\w)", "", str(annotation))


def parts_of_pairs() -> Iterator[str]:
    """Yield the section of the values that events are made of."""
    yield from ("## Values in events", "")
    for kind in (events.RefreshedPair, events.FailedPair, events.DriftedPair):
        yield from (f"### {kind.__name__}", "", described(kind), "")
        yield from table(("field", "type"), ((f"`{field.name}`", f"`{_type(field.type)}`") for field in fields(kind)))
        yield ""


def event_page() -> str:
    """The page of the events."""
    examples = {type(example): example for example in ONE_OF_EACH}
    return page(
        "Events",
        """
        A worker says by these values what happened. Observers get all of them; so does `observe` of
        [the Python interface](../python.md). The log has a line for most of them.
        [Operations](../guides/operations.md) says what each line asks of you.
        """,
        *(event_part(kind, examples[kind]) for kind in get_args(events.Event)),
        parts_of_pairs(),
    )


def metrics() -> str:
    """The page of the metrics."""
    standing = WorkerState(0.0, Goals())
    for example in (events.Started("gaq", "18.1", "gaq-1"), events.BacklogCounted(0)):
        standing.apply(example, 0.0)
    found = sorted(Metrics(standing).registry.collect(), key=lambda metric: metric.name)
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

"""Turns events into something to see."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from gaq_listen.observers.console import Terminal, live_console
from gaq_listen.observers.event_log import event_log
from gaq_listen.observers.line_formats import JSON, PLAIN
from gaq_listen.settings import LogFormat, WorkerSettings
from gaq_listen.worker.events import Observer


@contextmanager
def observing(
    format: LogFormat,  # noqa: A002
    stdout: IO[str],
    on_closed: Callable[[], None] = lambda: None,
    settings: WorkerSettings | None = None,
    objective: float = 1.0,
) -> Iterator[Observer]:
    """Shows what is observed on ``stdout``, until the end of the context.

    ``auto`` is the live console on a terminal, plain lines elsewhere; ``json`` is an object a line. Showing never
    raises and never makes the observed wait. ``on_closed`` is called once when nobody reads ``stdout`` any more, from
    another thread:

    >>> with observing("plain", sys.stdout, lambda: loop.call_soon_threadsafe(stop)) as observe:
    ...     await Worker(settings, observe).run()  # doctest: +SKIP
    """
    if isinstance(stdout, io.TextIOWrapper):
        # A name that the stream's encoding does not have is no reason to fail.
        stdout.reconfigure(errors="backslashreplace")
    console = Terminal(file=stdout)
    if format == "auto":
        # A dumb terminal cannot redraw, and one without Unicode would miscount its columns.
        live = console.is_interactive and stdout.isatty() and not console.options.ascii_only
        format = "rich" if live else "plain"  # noqa: A001
    if format == "rich":
        showing = live_console(console, on_closed, settings or WorkerSettings(), objective)
    else:
        showing = event_log(stdout, on_closed, JSON if format == "json" else PLAIN, objective)
    with showing as observe:
        yield observe

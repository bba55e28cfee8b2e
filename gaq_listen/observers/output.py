"""Choose the observers of a worker from the output settings, and call all of them with each event."""

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager
from typing import IO

from gaq_listen.observers.backlog_monitor import COUNT_EVERY, monitor_backlog
from gaq_listen.observers.console import Terminal, live_console
from gaq_listen.observers.event_log import HEARTBEAT, event_log
from gaq_listen.observers.http_server import serve_http
from gaq_listen.observers.line_formats import JSON, PLAIN
from gaq_listen.settings import OutputSettings, WorkerSettings
from gaq_listen.worker.events import Event, Observer


@asynccontextmanager
async def observe_worker(
    settings: WorkerSettings, output: OutputSettings, on_closed: Callable[[], None], *others: Observer
) -> AsyncIterator[Observer]:
    """Show a worker on stdout and, if wanted, over HTTP, and count its backlog, until the context ends.

    Yield the observer that the worker has to call with each event. It calls the ``others`` as well. ``on_closed`` is
    called once, in this event loop, when nobody reads stdout any more.

    Raises:
        BadSetting: the metrics cannot be served.
    """
    loop = asyncio.get_running_loop()
    observers = list(others)

    def observe(event: Event) -> None:
        for observer in observers:
            observer(event)

    async with AsyncExitStack() as stack:
        # The server comes first, because it may fail, and the console would hide the error.
        if output.metrics_listen is not None:
            observers.append(stack.enter_context(serve_http(output.metrics_listen, output.objective)))
        show = show_on(sys.stdout, output, settings, lambda: loop.call_soon_threadsafe(on_closed))
        observers.append(stack.enter_context(show))
        if settings.once:
            yield observe
            return
        # A console and a scraper need a present count. A log needs one only for each heartbeat line.
        watched = output.metrics_listen is not None or sys.stdout.isatty()
        every = COUNT_EVERY if watched else HEARTBEAT
        yield await stack.enter_async_context(monitor_backlog(settings.dsn, observe, every, stay_connected=watched))


def show_on(
    stdout: IO[str],
    output: OutputSettings,
    settings: WorkerSettings | None = None,
    on_closed: Callable[[], object] = lambda: None,
) -> AbstractContextManager[Observer]:
    """Return a context that yields an observer, which shows events on ``stdout``.

    The observer never raises an error, and never makes its caller wait. ``on_closed`` is called once, in another
    thread, when nobody reads ``stdout`` any more.
    """
    if isinstance(stdout, io.TextIOWrapper):
        # A character that the stream's encoding lacks must not raise an error.
        stdout.reconfigure(errors="backslashreplace")
    console = Terminal(file=stdout)
    log_format = output.log_format
    if log_format == "auto":
        # A dumb terminal cannot redraw, and a terminal without Unicode would miscount its columns.
        can_redraw = console.is_interactive and stdout.isatty() and not console.options.ascii_only
        log_format = "rich" if can_redraw else "plain"
    if log_format == "rich":
        return live_console(console, on_closed, settings or WorkerSettings(), output.objective)
    return event_log(stdout, on_closed, JSON if log_format == "json" else PLAIN, output.objective)

"""A worker as a process: signals, observers, service manager, exit code."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

from gaq_listen import events
from gaq_listen.observe import Format, observing
from gaq_listen.observe.serving import Address, serving
from gaq_listen.observe.standing import Aims
from gaq_listen.observe.stream import HEARTBEAT
from gaq_listen.observe.watching import LOOK_EVERY, watching
from gaq_listen.service_manager import ServiceManager
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import Worker

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AT_ONCE = 130
"""Exit code of a process that was told to stop twice."""


@dataclass(frozen=True, slots=True)
class Showing:
    """What a worker shows of itself, and where. ``objective``: seconds that a pair may be stale."""

    log_format: Format = "auto"
    objective: float = 1.0
    metrics: Address | None = None


def run_worker(settings: WorkerSettings, showing: Showing) -> int:
    """Runs a worker until it is done or stopped; returns the exit code.

    The first signal finishes the batch in flight, the second ends at once. When the terminal that it writes to has
    gone (SIGHUP), that is such a signal too; a worker that writes elsewhere works on.

    Raises:
        GaqListenError: see :meth:`Worker.run`.
    """
    return asyncio.run(_run(settings, showing))


async def _run(settings: WorkerSettings, showing: Showing) -> int:
    manager = ServiceManager()
    if manager.watchdog is not None:
        settings = replace(settings, heartbeat=min(settings.heartbeat, max(0.5, manager.watchdog / 4)))

    def nobody_reads() -> None:
        worker.stop("nobody reads the output")

    async with shown(settings, showing, nobody_reads, manager.observe) as observe:
        worker = Worker(settings, observe, alive=manager.alive)
        with signals(worker.stop, worker.abandon, with_terminal=sys.stdout.isatty()):
            await worker.run()
    return AT_ONCE if worker.abandoned else 0


@asynccontextmanager
async def shown(
    settings: WorkerSettings, showing: Showing, nobody_reads: Callable[[], None], *also: events.Observer
) -> AsyncIterator[events.Observer]:
    """Shows what the observer that it yields is told, on stdout and, if wanted, over HTTP; and counts what is stale.

    Others who observe are told ``also``. ``nobody_reads`` is called, in this loop, when the reader of stdout has gone.
    """
    loop = asyncio.get_running_loop()
    aims = Aims(showing.objective, settings.min_batch, settings.max_batch, settings.sweep)
    async with AsyncExitStack() as stack:
        shows = list(also)
        show = _all(shows)
        audience = [show]

        # First what can refuse.
        if showing.metrics is not None:
            shows.append(stack.enter_context(serving(showing.metrics, aims)))

        def reader_gone() -> None:
            loop.call_soon_threadsafe(nobody_reads)

        shows.append(stack.enter_context(observing(showing.log_format, sys.stdout, reader_gone, aims)))
        if not settings.once:
            # A log wants the number now and then; who watches a terminal or scrapes wants it now.
            watched = showing.metrics is not None or sys.stdout.isatty()
            every = LOOK_EVERY if watched else HEARTBEAT
            audience.append(await stack.enter_async_context(watching(settings.dsn, show, every, stay=watched)))
        yield _all(audience)


def _all(observers: list[events.Observer]) -> events.Observer:
    def observe(event: events.Event) -> None:
        for each in observers:
            each(event)

    return observe


@contextmanager
def signals(
    first: Callable[[str], object], second: Callable[[], object], with_terminal: bool = False
) -> Iterator[None]:
    """Within the context, SIGINT and SIGTERM call ``first`` with their name, and after that ``second``.

    So does the first SIGHUP ``with_terminal``; without, it is ignored.
    """
    loop = asyncio.get_running_loop()
    received = 0

    def receive(number: signal.Signals) -> None:
        nonlocal received
        received += 1
        if received == 1:
            first(number.name)
        else:
            second()

    handled = [*SIGNALS]
    for number in handled:
        loop.add_signal_handler(number, receive, number)
    # Whoever ignores it already, as nohup does, goes on doing so.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handled.append(signal.SIGHUP)
        # The kernel may send two at once, which is no impatience.
        loop.add_signal_handler(
            signal.SIGHUP, lambda: receive(signal.SIGHUP) if with_terminal and not received else None
        )
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)

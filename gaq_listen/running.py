"""A worker as a process: signals, observer, exit code."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from gaq_listen.observe import observing
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import Worker

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AT_ONCE = 130
"""Exit code of a process that was told to stop twice."""

LogFormat = Literal["auto", "rich", "plain"]


def run_worker(settings: WorkerSettings, log_format: LogFormat) -> int:
    """Runs a worker until it is done or stopped; returns the exit code.

    The first signal finishes the batch in flight, the second ends at once.

    Raises:
        GaqListenError: see :meth:`Worker.run`.
    """
    return asyncio.run(_run(settings, log_format))


async def _run(settings: WorkerSettings, log_format: LogFormat) -> int:
    loop = asyncio.get_running_loop()

    def nobody_reads() -> None:
        loop.call_soon_threadsafe(lambda: worker.stop("nobody reads the output"))

    with observing(log_format, sys.stdout, nobody_reads) as observe:
        worker = Worker(settings, observe)
        working = loop.create_task(worker.run())
        with signals(worker.stop, working.cancel):
            try:
                await working
            except asyncio.CancelledError:
                return AT_ONCE
    return 0


@contextmanager
def signals(first: Callable[[str], object], second: Callable[[], object]) -> Iterator[None]:
    """Within the context, SIGINT and SIGTERM call ``first`` with their name, and after that ``second``."""
    loop = asyncio.get_running_loop()
    received = 0

    def receive(number: signal.Signals) -> None:
        nonlocal received
        received += 1
        if received == 1:
            first(number.name)
        else:
            second()

    for number in SIGNALS:
        loop.add_signal_handler(number, receive, number)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)

"""Run a worker as a process: signals, observers, systemd, exit code."""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from gaq_listen.observers.output import observe_worker
from gaq_listen.settings import OutputSettings, WorkerSettings
from gaq_listen.worker.systemd import SystemdNotifier
from gaq_listen.worker.worker import Worker

SIGNALS = (signal.SIGINT, signal.SIGTERM)
FORCED_EXIT = 130
"""The exit code after a second signal."""


def run_worker(settings: WorkerSettings, output: OutputSettings) -> int:
    """Run a worker until it is done or stopped. Return the exit code.

    After the first signal, the worker finishes its batch. After the second, it ends at once. SIGHUP counts as a signal
    if stdout is a terminal, and is ignored elsewhere.

    Raises:
        GaqListenError: the worker cannot work, see ``Worker.run``.
    """
    return asyncio.run(_run(settings, output))


async def _run(settings: WorkerSettings, output: OutputSettings) -> int:
    manager = SystemdNotifier()
    if manager.watchdog is not None:
        settings = replace(settings, heartbeat=min(settings.heartbeat, max(0.5, manager.watchdog / 4)))

    def nobody_reads() -> None:
        worker.stop("nobody reads the output")

    async with observe_worker(settings, output, nobody_reads, manager.observe) as observe:
        worker = Worker(settings, observe, alive=manager.alive)
        with handle_signals(worker.stop, worker.abandon, with_terminal=sys.stdout.isatty()):
            await worker.run()
    return FORCED_EXIT if worker.abandoned else 0


@contextmanager
def handle_signals(
    first: Callable[[str], object], second: Callable[[], object], with_terminal: bool = False
) -> Iterator[None]:
    """Handle signals within the context: call ``first`` with the name of the first one, and ``second`` after that.

    The signals are SIGINT and SIGTERM and, ``with_terminal``, the first SIGHUP. Otherwise SIGHUP is ignored.
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
    # A process that ignores SIGHUP already, as under nohup, goes on ignoring it.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handled.append(signal.SIGHUP)
        # The kernel may send SIGHUP twice at once, so the second one must not end the worker.
        loop.add_signal_handler(
            signal.SIGHUP, lambda: receive(signal.SIGHUP) if with_terminal and not received else None
        )
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)

"""Run the demonstration: a private server with a period, a shift that changes the period, a worker and its console."""

import asyncio
import random
import sys
from contextlib import suppress

import click

from gaq_listen.db import sessions
from gaq_listen.dba import installer, scripts
from gaq_listen.demo.freshness import FreshnessMeter, FreshnessResult
from gaq_listen.demo.period import Period, fill
from gaq_listen.demo.shift import Shift
from gaq_listen.observers.output import observe_worker
from gaq_listen.private_postgres.server import PrivatePostgres
from gaq_listen.process import FORCED_EXIT, handle_signals
from gaq_listen.settings import LogFormat, OutputSettings, WorkerSettings
from gaq_listen.worker.events import Observer
from gaq_listen.worker.worker import Worker

NAME = "demo"
"""Name of the database."""

HINTS = (
    "gaq-listen show {name} --live",
    "gaq-listen show {name} --not-bad '>=0.95' --max-undefined 0 --list --live",
    "gaq-listen show {name} --live --save {name}.svg",
    "gaq-listen changes --since 1m",
)
"""Commands to try in a second terminal. ``{name}`` stands for the name of a data pass."""

_STALE_PAIRS = "select stale_pairs from gaq.status"


def play(
    length: float | None, rate: float, seed: int, log_format: LogFormat, also: Observer = lambda event: None
) -> int:
    """Run the demonstration for ``length`` seconds, or until a signal if ``length`` is None.

    Return the exit code: 1 if a pair stayed stale. ``also`` is one more observer of the worker's events.

    Raises:
        GaqListenError: The private server did not start, or the shift or the worker failed.
    """
    click.echo("starting a private PostgreSQL …", err=True)
    with PrivatePostgres() as server:
        with sessions.connect_once(server.dsn(), "gaq-listen demo") as connection:
            connection.execute(f"create database {NAME}")
        dsn = server.dsn(NAME)
        with sessions.connect_once(dsn, "gaq-listen demo") as connection:
            connection.execute(scripts.script("reference_tables").encode())
            period = fill(connection, seed=seed)
            installer.install(connection)
        click.echo(f"from a second terminal: export GAQ_LISTEN_DSN='{dsn}'; gaq-listen status --watch", err=True)
        name = period.data_passes[0].name
        for hint in HINTS:
            click.echo(f"    {hint.format(name=name)}", err=True)
        click.echo(f"or with psql: psql -h {server.host} -U {server.user} {NAME}", err=True)
        return asyncio.run(_Demonstration(dsn, period, rate, seed).run(length, log_format, also))


class _Demonstration:
    """A shift and a worker that run at the same time in one event loop."""

    def __init__(self, dsn: str, period: Period, rate: float, seed: int) -> None:
        self._dsn = dsn
        self._meter = FreshnessMeter(dsn)
        chance = random.Random(seed)  # noqa: S311 - nothing secret depends on it
        self._shift = Shift(dsn, period, chance, rate, self._meter.record)

    async def run(self, length: float | None, log_format: LogFormat, also: Observer) -> int:
        """Run both, print the result, and return the exit code."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        if length is not None:
            loop.call_later(length, stop.set)

        settings = WorkerSettings(dsn=self._dsn)
        async with observe_worker(settings, OutputSettings(log_format=log_format), stop.set, also) as observe:
            worker = Worker(settings, observe)
            worker_task = loop.create_task(worker.run())
            shift_task = loop.create_task(self._run_shift(stop))
            tasks = {worker_task, shift_task}

            def force_exit() -> None:
                for task in tasks:
                    task.cancel()

            with handle_signals(lambda _: stop.set(), force_exit, with_terminal=sys.stdout.isatty()):
                try:
                    # The first task that fails ends the demonstration. The worker ends by itself only if it fails.
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    if worker_task.done():
                        await worker_task
                    result = await shift_task
                    worker.stop("the shift is over")
                    await worker_task
                except asyncio.CancelledError:
                    return FORCED_EXIT
                finally:
                    for task in tasks:
                        task.cancel()
                        with suppress(asyncio.CancelledError):
                            await asyncio.wait({task})
        return self._summarize(result)

    async def _run_shift(self, stop: asyncio.Event) -> FreshnessResult:
        async with self._meter:
            await self._wait_until_fresh(stop)
            await self._shift.run(stop)
            return await self._meter.settle()

    async def _wait_until_fresh(self, stop: asyncio.Event) -> None:
        """Wait until the worker has computed every pair of the new period, or until ``stop`` is set."""
        connection = await sessions.connect(self._dsn, "gaq-listen demo")
        async with connection:
            while not stop.is_set():
                cursor = await connection.execute(_STALE_PAIRS)
                if await cursor.fetchone() == (0,):
                    return
                await asyncio.sleep(0.05)

    def _summarize(self, result: FreshnessResult) -> int:
        """Print the last line of the demonstration, and return the exit code."""
        with sessions.connect_once(self._dsn, "gaq-listen demo") as connection:
            [(left,)] = connection.execute(_STALE_PAIRS).fetchall()
        speed = "nothing measured"
        if result.p50_ms is not None and result.p99_ms is not None:
            speed = f"commit to fresh p50 {result.p50_ms:.1f} ms, p99 {result.p99_ms:.1f} ms"
        counts = f"{result.changes} changes made, {result.pairs} pairs refreshed"
        click.echo(f"demo: {counts}, {speed}, stale pairs left: {left}")
        return 0 if left == result.outstanding == 0 else 1

"""Everything at work: a private server, a period, a shift that changes it, the worker and its console."""

import asyncio
import random
import sys
from contextlib import suppress

import click

from gaq_listen.db import sessions
from gaq_listen.dba import installer, scripts
from gaq_listen.demo.freshness import Freshness, Measured
from gaq_listen.demo.period import Period, fill
from gaq_listen.demo.shift import Shift
from gaq_listen.private_postgres.server import PrivatePostgres
from gaq_listen.process import FORCED_EXIT, handle_signals, observers_of
from gaq_listen.reports import status
from gaq_listen.settings import LogFormat, OutputSettings, WorkerSettings
from gaq_listen.worker.events import Observer
from gaq_listen.worker.worker import Worker

NAME = "demo"
"""The database."""


HINTS = (
    "gaq-listen show {name} --live",
    "gaq-listen show {name} --not-bad '>=0.95' --max-undefined 0 --list --live",
    "gaq-listen show {name} --live --save {name}.svg",
    "gaq-listen changes --since 1m",
)
"""What to try in a second terminal, with the name of a data pass."""


def play(
    length: float | None, rate: float, seed: int, log_format: LogFormat, also: Observer = lambda event: None
) -> int:
    """Plays for ``length`` seconds, or until a signal; returns the exit code, 1 when something was left stale.

    What happens is shown, and told to ``also``.

    Raises:
        GaqListenError: no server could be started, or something of the play failed.
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
        return asyncio.run(_Play(dsn, period, rate, seed).run(length, log_format, also))


class _Play:
    def __init__(self, dsn: str, period: Period, rate: float, seed: int) -> None:
        self._dsn = dsn
        self._freshness = Freshness(dsn)
        chance = random.Random(seed)  # noqa: S311 - nothing secret depends on it
        self._shift = Shift(dsn, period, chance, rate, self._freshness.note)

    async def run(self, length: float | None, log_format: LogFormat, also: Observer) -> int:
        loop = asyncio.get_running_loop()
        enough = asyncio.Event()
        if length is not None:
            loop.call_later(length, enough.set)

        settings = WorkerSettings(dsn=self._dsn)
        async with observers_of(settings, OutputSettings(log_format=log_format), enough.set, also) as observe:
            worker = Worker(settings, observe)
            working = loop.create_task(worker.run())
            changing = loop.create_task(self._change(enough))
            both = {working, changing}
            stop_at_once = lambda: [task.cancel() for task in both]  # noqa: E731
            with handle_signals(lambda _: enough.set(), stop_at_once, with_terminal=sys.stdout.isatty()):
                try:
                    # Whichever fails first ends the play; the worker ends by itself only by failing.
                    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                    if working.done():
                        await working
                    measured = await changing
                    worker.stop("the shift is over")
                    await working
                except asyncio.CancelledError:
                    return FORCED_EXIT
                finally:
                    for task in both:
                        task.cancel()
                        with suppress(asyncio.CancelledError):
                            await asyncio.wait({task})
        return self._sum_up(measured)

    async def _change(self, enough: asyncio.Event) -> Measured:
        async with self._freshness:
            await self._until_fresh(enough)
            await self._shift.run(enough)
            return await self._freshness.settle()

    async def _until_fresh(self, enough: asyncio.Event) -> None:
        """The shift begins when the worker is through with what it found."""
        connection = await sessions.connect(self._dsn, "gaq-listen demo")
        async with connection:
            while not enough.is_set():
                cursor = await connection.execute("select stale_pairs from gaq.status")
                if await cursor.fetchone() == (0,):
                    return
                await asyncio.sleep(0.05)

    def _sum_up(self, measured: Measured) -> int:
        with sessions.connect_once(self._dsn, "gaq-listen demo") as connection:
            left = status.read(connection, OutputSettings().objective).stale_pairs
        speed = "nothing measured"
        if measured.p50_ms is not None and measured.p99_ms is not None:
            speed = f"commit to fresh p50 {measured.p50_ms:.1f} ms, p99 {measured.p99_ms:.1f} ms"
        made = f"{measured.changes} changes made, {measured.pairs} pairs refreshed"
        click.echo(f"demo: {made}, {speed}, stale pairs left: {left}")
        return 0 if left == measured.outstanding == 0 else 1

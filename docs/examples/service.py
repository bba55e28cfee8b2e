"""Run a service that keeps the summaries of its database fresh, and sends refreshed ones to its users.

    GAQ_LISTEN_DSN=postgresql://gaq_listen@db.example/bookkeeping python docs/examples/service.py
    nc 127.0.0.1 8765

Every user gets a line of JSON for each refreshed summary, with the elementary periods of the run. The role of the
database connection needs gaq_worker. Several such services may run: their workers share the backlog, and each service
sends all refreshed summaries to its users.
"""

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import asdict

import psycopg

from gaq_listen import BackgroundWorker, WorkerSettings, live_summaries, periods, refreshes
from gaq_listen.worker import events

Users = set[asyncio.StreamWriter]


async def serve(dsn: str, port: int, ready: Callable[[int], object] = print) -> None:
    """Serve until cancelled. Call ``ready`` with the port as soon as users can connect."""
    users: Users = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        users.add(writer)
        await reader.read()  # until the user leaves
        users.discard(writer)
        writer.close()

    async with (
        await asyncio.start_server(welcome, "127.0.0.1", port) as server,
        BackgroundWorker(WorkerSettings(dsn=dsn, name="example service"), observe) as worker,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(worker.wait())  # an error that ends the worker ends the service
        listening = asyncio.Event()
        tasks.create_task(send_refreshed(dsn, users, listening))
        await listening.wait()
        ready(server.sockets[0].getsockname()[1])
        try:
            await asyncio.Future()
        finally:
            for user in users:
                user.close()


async def send_refreshed(dsn: str, users: Users, listening: asyncio.Event) -> None:
    """Send each refreshed summary to all users. Set ``listening`` when the first cannot be missed any more."""
    async with (
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as notifications,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection,
    ):
        refreshed = await refreshes(notifications)
        listening.set()
        async for pairs in refreshed:
            for data_pass_id, run_number in pairs:
                for summary in await live_summaries(connection, data_pass_id, [run_number]):
                    found = await periods(connection, data_pass_id, run_number)
                    message = asdict(summary) | {"periods": [asdict(period) for period in found]}
                    line = json.dumps(message, default=str).encode() + b"\n"
                    for user in users:
                        user.write(line)


def observe(event: events.Event) -> None:
    """Print some events of the worker. A real service would count or log them."""
    if isinstance(event, events.Listening | events.Disconnected | events.PairsFailed):
        print(event)


if __name__ == "__main__":
    asyncio.run(serve(os.environ.get("GAQ_LISTEN_DSN", ""), 8765))

"""A service that keeps the summaries of its database fresh, and tells its users when one has been refreshed.

    GAQ_LISTEN_DSN=postgresql://gaq_listen@db.example/bookkeeping python docs/examples/service.py
    nc 127.0.0.1 8765

Every user gets a line of JSON for each refreshed summary, with the elementary periods of the run. The database role
needs gaq_worker. Several such services may run: their workers share the work, and each tells its users of all of it.
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
    """Serve until cancelled. `ready` is called with the port when users may connect."""
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
        tasks.create_task(tell(dsn, users, listening))
        await listening.wait()
        ready(server.sockets[0].getsockname()[1])
        try:
            await asyncio.Future()
        finally:
            for user in users:
                user.close()


async def tell(dsn: str, users: Users, listening: asyncio.Event) -> None:
    """Tell the users of each refreshed summary."""
    async with (
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as bell,
        await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection,
    ):
        refreshed = await refreshes(bell)
        listening.set()
        async for pairs in refreshed:
            for data_pass_id, run_number in pairs:
                for summary in await live_summaries(connection, data_pass_id, [run_number]):
                    found = await periods(connection, data_pass_id, run_number)
                    said = asdict(summary) | {"periods": [asdict(period) for period in found]}
                    line = json.dumps(said, default=str).encode() + b"\n"
                    for user in users:
                        user.write(line)


def observe(event: events.Event) -> None:
    """Say what the worker does, in a word or two; a real service would count or log it."""
    if isinstance(event, events.Listening | events.Disconnected | events.PairsFailed):
        print(event)


if __name__ == "__main__":
    asyncio.run(serve(os.environ.get("GAQ_LISTEN_DSN", ""), 8765))

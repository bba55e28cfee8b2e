"""Test that writers who commit at the same time, with slow flushes, do not queue at the doorbell."""

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack

import psycopg
import pytest
from psycopg import Notify

from gaq_listen.dba import installer
from gaq_listen.dba.scripts import script
from gaq_listen.private_postgres.server import PrivatePostgres
from gaq_listen.worker.doorbell import CHANNEL
from tests.support.small_period import BAD_FLAG, PERIOD
from tests.support.waiting import PATIENCE
from tests.support.worker_harness import asleep, running_worker, stale
from tests.worker.test_doorbell import doorbell

WRITERS = 8
SECONDS = 4.0
NEVER = 3600.0

# Like a slow disk: the first session that flushes waits for 30 ms, and then flushes for all that have come by then.
SLOW_DISK = {
    "fsync": "on",
    "synchronous_commit": "on",
    "commit_delay": "30000",
    "commit_siblings": "0",
}


@pytest.fixture(scope="module")
def slow_disk() -> Iterator[str]:
    """Return the DSN of a database with the small period, installed and fresh, whose flushes take 30 ms."""
    with PrivatePostgres(settings=SLOW_DISK) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute(script("reference_tables").encode())
            connection.execute(PERIOD.encode())
            installer.install(connection)
            connection.execute("call gaq.drain()")
        yield server.dsn()


class Writers:
    """Run threads that insert one flag a transaction for some seconds."""

    def __init__(self, dsn: str, number: int) -> None:
        self.commits = 0
        self._dsn = dsn
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._write, args=(seed,)) for seed in range(number)]

    def run(self, seconds: float) -> None:
        for thread in self._threads:
            thread.start()
        self._done.wait(seconds)
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _write(self, seed: int) -> None:
        chance = random.Random(seed)
        with psycopg.connect(self._dsn, autocommit=True) as connection:
            while not self._done.is_set():
                connection.execute(BAD_FLAG, (1, chance.randint(501, 505)))
                with self._lock:
                    self.commits += 1


async def test_let_go_sees_sessions_that_wait_for_the_notify_lock(slow_disk: str) -> None:
    async with doorbell(slow_disk) as bell:
        await bell.hold()
        assert not await bell.let_go()

        done = threading.Event()

        def notify() -> None:
            with psycopg.connect(slow_disk, autocommit=True) as connection:
                while not done.is_set():
                    connection.execute("notify another_channel")

        threads = [threading.Thread(target=notify) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            async with asyncio.timeout(PATIENCE):
                seen = False
                while not seen:
                    await bell.hold()
                    seen = await bell.let_go()
        finally:
            done.set()
            for thread in threads:
                thread.join()


@pytest.mark.parametrize("workers", [1, 2])
async def test_writers_that_contend_hardly_ring(slow_disk: str, workers: int) -> None:
    with psycopg.connect(slow_disk, autocommit=True) as watching:
        rings: list[Notify] = []
        watching.add_notify_handler(lambda notice: rings.append(notice) if not notice.payload else None)
        async with AsyncExitStack() as stack:
            for number in range(workers):
                work = await stack.enter_async_context(running_worker(slow_disk, name=f"worker {number}", sweep=NEVER))
                await work.until(lambda: asleep(watching))
            watching.execute(f"listen {CHANNEL}".encode())
            writers = Writers(slow_disk, WRITERS)
            await asyncio.to_thread(writers.run, SECONDS)
            await work.until(lambda: stale(watching) == 0)
    # Each worker may hold the doorbell before the writers begin, and once more when a quiet time deceives it.
    assert len(rings) <= 2 * workers * WRITERS
    assert writers.commits > 5 * len(rings)

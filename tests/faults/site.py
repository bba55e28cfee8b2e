"""What a storm rages over: a server, a network, workers that are started again, and somebody who watches."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from random import Random
from typing import Any

import psycopg

from tests.faults.program import Program
from tests.faults.proxy import Proxy, network
from tests.faults.server import DATABASE, WORKER, Server

WORKERS = 2
OPTIONS: dict[str, Any] = {"GAQ_LISTEN_HEARTBEAT": "1s", "GAQ_LISTEN_BATCH_TIMEOUT": "3s", "GAQ_LISTEN_SWEEP": "5s"}
# But for marks whose time we made up.
_OLDEST = """
select coalesce(max(date_part('epoch', clock_timestamp() - invalidated_at)), 0)
from (select invalidated_at from gaq.invalidations where cause <> 'clock'
      union all select invalidated_at from gaq.wide_invalidations) mark
"""


class Site:
    """Where things happen; ``chance`` decides which worker, which backend, how long."""

    def __init__(self, server: Server, proxy: Proxy, chance: Random) -> None:
        self.server = server
        self.proxy = proxy
        self.chance = chance
        self.workers = [self._worker() for _ in range(WORKERS)]
        self.ended: list[Program] = []

    def _worker(self) -> Program:
        return Program(self.proxy.dsn(user=WORKER, dbname=DATABASE, connect_timeout=2), **OPTIONS)

    def some_worker(self) -> Program:
        """One that runs."""
        self.start_again()
        return self.chance.choice(self.workers)

    def replace(self, worker: Program) -> None:
        """Starts another one for one that has ended."""
        self.workers.remove(worker)
        self.ended.append(worker)
        self.workers.append(self._worker())

    def start_again(self) -> None:
        """What a service manager does: a worker whose very first connection found nobody has ended, and comes again."""
        for worker in [worker for worker in self.workers if worker.ended]:
            assert (worker.wait(), worker.of("started")) == (3, []), worker.log
            self.replace(worker)

    def some_time(self, longest: float) -> None:
        """Lets some of it pass."""
        time.sleep(self.chance.uniform(0, longest))

    def refreshed(self) -> int:
        """How many pairs all workers have told of."""
        return sum(worker.refreshed() for worker in (*self.workers, *self.ended))

    def stop(self) -> None:
        """Ends all workers."""
        for worker in self.workers:
            worker.process.kill()
            worker.wait()


class Watch:
    """Looks all the time how long something has been stale, as far as the server answers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = threading.Event()
        self._longest = 0.0
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def longest(self) -> float:
        """The longest time since this was last asked, in seconds."""
        longest, self._longest = self._longest, 0.0
        return longest

    def stop(self) -> None:
        """Looks no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            with suppress(psycopg.OperationalError), self._server.connect(application_name="watch") as connection:
                while not self._stop.wait(0.05):
                    row = connection.execute(_OLDEST.encode()).fetchone()
                    self._longest = max(self._longest, float(row[0]) if row else 0.0)


@contextmanager
def site(server: Server, chance: Random) -> Iterator[Site]:
    """Everything at work; ended with the context."""
    with ExitStack() as stack:
        proxy = stack.enter_context(network(server.sockets / ".s.PGSQL.5432"))
        place = Site(server, proxy, chance)
        stack.callback(place.stop)
        for worker in place.workers:
            worker.until("listening")
        server.until_asleep()
        yield place

"""What a storm rages over: a server, a network, workers that are started again, and people who write."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any

from gaq_listen.private_postgres import cluster
from tests.faults import notification_queue
from tests.faults.clocks import Clock
from tests.faults.optional_tools import Means
from tests.faults.program import Program
from tests.faults.proxy import Proxy, network
from tests.faults.refusing import RIGHT, UNREACHABLE
from tests.faults.replication import either
from tests.faults.seeded_cluster import copy_of, new_home
from tests.faults.server import IMMEDIATE, WORKER, Server
from tests.faults.small_disk import SmallDisk
from tests.faults.staleness_watch import Watch
from tests.faults.writing import Writers

WORKERS = 2
OPTIONS: dict[str, Any] = {"GAQ_LISTEN_HEARTBEAT": "1s", "GAQ_LISTEN_BATCH_TIMEOUT": "3s", "GAQ_LISTEN_SWEEP": "5s"}


class Site:
    """Where things happen; ``chance`` decides which worker, which backend, how long.

    ``way`` is the network to the server; ``other_way`` leads nowhere, until there is another server to go on with.
    """

    def __init__(self, seed: Server, chance: Random, stack: ExitStack) -> None:
        self.chance = chance
        self._stack = stack
        clocks = new_home(seed.account, stack), new_home(seed.account, stack)
        self.server_clock = Means(lambda: Clock(clocks[0]))
        self.worker_clock = Means(lambda: Clock(clocks[1]))
        self.server = copy_of(seed, stack)
        self.small_disk = self._set_up(self.server)
        self.server.start()
        self.server.ask(f"alter role {WORKER} password '{RIGHT}'")
        self.way = stack.enter_context(network(self.server.socket))
        self.other_way = stack.enter_context(network(self.server.socket))
        self.other_way.refuse()
        # Always in the same order, like the DSN of a service.
        self._ways: tuple[Proxy, Proxy] = (self.way, self.other_way)
        self.workers: list[Program] = []
        self.ended: list[Program] = []
        stack.callback(self._stop)
        self.workers += [self.another_worker() for _ in range(WORKERS)]
        self.writers = Writers(self.server, seed=chance.randrange(2**32), pause=0.02)
        self.watch = Watch(self.server)

    def _set_up(self, server: Server) -> Means[SmallDisk]:
        """Has it run by a clock that can be set, beside a disk that can be filled."""
        small_disk = Means(lambda: SmallDisk(server))
        clock = self.server_clock

        def launcher(command: list[str]) -> list[str]:
            # With us it ends, also if we are killed: entering name spaces has made it forget.
            command = ["setpriv", "--pdeathsig", "QUIT", *command] if small_disk.had else command
            command = clock().launcher(command) if clock.had else command
            return small_disk().launcher(command) if small_disk.had else command

        server.launcher = launcher
        server.settings |= notification_queue.settings(server.version)
        return small_disk

    def start(self) -> None:
        """Everybody begins."""
        for worker in self.workers:
            worker.until("listening")
        self.server.until_asleep()
        self.writers.start()
        self.watch.start()

    def another_worker(self, dsn: str | None = None, *words: str, **options: Any) -> Program:
        """One more, through the network unless told otherwise; whoever wants it ends it."""
        clock = self.worker_clock().variables if self.worker_clock.had else {}
        where = either(self._ways, password=RIGHT) if dsn is None else dsn
        return Program(where, *words, **(OPTIONS | clock | options))

    def some_worker(self) -> Program:
        """One that runs."""
        self.start_again()
        return self.chance.choice(self.workers)

    def replace(self, worker: Program) -> None:
        """Starts another one for one that has ended."""
        self.workers.remove(worker)
        self.ended.append(worker)
        self.workers.append(self.another_worker())

    def start_again(self) -> None:
        """What a service manager does: a worker whose very first connection found nobody has ended, and comes again."""
        for worker in [worker for worker in self.workers if worker.ended]:
            assert (worker.wait(), worker.of("started")) == (UNREACHABLE, []), worker.log
            self.replace(worker)

    def all_started(self) -> list[Program]:
        """The workers, each of which has been connected."""

        def started() -> bool:
            self.start_again()
            return all(worker.of("started") for worker in self.workers)

        while not started():
            time.sleep(0.01)
        return list(self.workers)

    def some_time(self, longest: float) -> None:
        """Lets some of it pass."""
        time.sleep(self.chance.uniform(0, longest))

    def refreshed(self) -> int:
        """How many pairs all workers have told of."""
        return sum(worker.refreshed() for worker in (*self.workers, *self.ended))

    def new_server(self) -> tuple[Server, Means[SmallDisk]]:
        """One without any data yet."""
        old = self.server
        server = Server(new_home(old.account, self._stack), old.binaries, old.version, old.account)
        self._stack.callback(server.stop, IMMEDIATE)
        return server, self._set_up(server)

    def go_on_with(self, server: Server, small_disk: Means[SmallDisk]) -> None:
        """Everybody who connects comes to this server from now on; the old one has gone for ever."""
        old = self.server
        self.server, self.small_disk = server, small_disk
        self.writers.server = self.watch.server = server
        self.other_way.leads_to(server.socket)
        self.other_way.accept()
        self.way.refuse()
        self.way, self.other_way = self.other_way, self.way
        cluster.remove_directory(old.home)

    def _stop(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.wait()


@contextmanager
def site(seed: Server, chance: Random) -> Iterator[Site]:
    """Everything at work, on a copy of the seed; ended with the context."""
    with ExitStack() as stack:
        place = Site(seed, chance, stack)
        try:
            place.start()
            yield place
        finally:
            place.writers.stop()
            place.watch.stop()

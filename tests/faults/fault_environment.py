"""The environment of a storm: a server, a network, workers that are started again, and writers."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any

from gaq_listen.private_postgres import cluster
from tests.faults import notification_queue
from tests.faults.clocks import Clock
from tests.faults.optional_tools import OptionalTool
from tests.faults.program import Program
from tests.faults.proxy import Proxy, network
from tests.faults.refusing import RIGHT, UNREACHABLE
from tests.faults.replication import either
from tests.faults.seeded_cluster import copy_of, new_home
from tests.faults.server import IMMEDIATE, WORKER, Server
from tests.faults.small_disk import SmallDisk
from tests.faults.staleness_watch import StalenessWatch
from tests.faults.writing import Writers

WORKERS = 2
OPTIONS: dict[str, Any] = {"GAQ_LISTEN_HEARTBEAT": "1s", "GAQ_LISTEN_BATCH_TIMEOUT": "3s", "GAQ_LISTEN_SWEEP": "5s"}


class FaultEnvironment:
    """A server with workers and writers, to which faults happen.

    ``chance`` chooses the worker or backend that a fault hits, and how long the fault lasts.
    Workers reach the server through ``proxy``. ``spare_proxy`` refuses connections until a failover.
    """

    def __init__(self, seed: Server, chance: Random, stack: ExitStack) -> None:
        """Start a copy of the seed, and workers that connect to the copy. ``stack`` stops them."""
        self.chance = chance
        self._stack = stack
        clocks = new_home(seed.account, stack), new_home(seed.account, stack)
        self.server_clock = OptionalTool(lambda: Clock(clocks[0]))
        self.worker_clock = OptionalTool(lambda: Clock(clocks[1]))
        self.server = copy_of(seed, stack)
        self.small_disk = self._set_up(self.server)
        self.server.start()
        self.server.ask(f"alter role {WORKER} password '{RIGHT}'")
        self.proxy = stack.enter_context(network(self.server.socket))
        self.spare_proxy = stack.enter_context(network(self.server.socket))
        self.spare_proxy.refuse()
        # The DSN of a worker names both, always in this order, as the DSN of a service does.
        self._proxies: tuple[Proxy, Proxy] = (self.proxy, self.spare_proxy)
        self.workers: list[Program] = []
        self.ended: list[Program] = []
        stack.callback(self._stop)
        self.workers += [self.another_worker() for _ in range(WORKERS)]
        self.writers = Writers(self.server, seed=chance.randrange(2**32), pause=0.02)
        self.watch = StalenessWatch(self.server)

    def _set_up(self, server: Server) -> OptionalTool[SmallDisk]:
        """Give a server a clock that can be set, and a small disk that can be filled."""
        small_disk = OptionalTool(lambda: SmallDisk(server))
        clock = self.server_clock

        def launcher(command: list[str]) -> list[str]:
            # Entering a name space clears the signal that ends the server when this process is killed. Set it again.
            command = ["setpriv", "--pdeathsig", "QUIT", *command] if small_disk.available else command
            command = clock.require().launcher(command) if clock.available else command
            return small_disk.require().launcher(command) if small_disk.available else command

        server.launcher = launcher
        server.settings |= notification_queue.settings(server.version)
        return small_disk

    def start(self) -> None:
        """Start the writers when all workers listen and one sleeps."""
        for worker in self.workers:
            worker.until("listening")
        self.server.until_asleep()
        self.writers.start()
        self.watch.start()

    def another_worker(self, dsn: str | None = None, *words: str, **options: Any) -> Program:
        """Start a worker that the environment does not stop. ``dsn`` is by default the way through the proxies."""
        clock = self.worker_clock.require().variables if self.worker_clock.available else {}
        where = either(self._proxies, password=RIGHT) if dsn is None else dsn
        return Program(where, *words, **(OPTIONS | clock | options))

    def some_worker(self) -> Program:
        """Return a worker that runs."""
        self.start_again()
        return self.chance.choice(self.workers)

    def replace(self, worker: Program) -> None:
        """Start another worker in the place of one that has ended."""
        self.workers.remove(worker)
        self.ended.append(worker)
        self.workers.append(self.another_worker())

    def start_again(self) -> None:
        """Start the workers again that ended because their very first connection failed, as systemd does."""
        for worker in [worker for worker in self.workers if worker.ended]:
            assert (worker.wait(), worker.of("started")) == (UNREACHABLE, []), worker.log
            self.replace(worker)

    def all_started(self) -> list[Program]:
        """Wait until each worker has connected once, and return the workers."""

        def started() -> bool:
            self.start_again()
            return all(worker.of("started") for worker in self.workers)

        while not started():
            time.sleep(0.01)
        return list(self.workers)

    def some_time(self, longest: float) -> None:
        """Sleep for a random time of at most ``longest`` seconds."""
        time.sleep(self.chance.uniform(0, longest))

    def refreshed(self) -> int:
        """Return how many pairs the workers have logged as refreshed."""
        return sum(worker.refreshed() for worker in (*self.workers, *self.ended))

    def new_server(self) -> tuple[Server, OptionalTool[SmallDisk]]:
        """Return a server that has no data yet, and its small disk."""
        old = self.server
        server = Server(new_home(old.account, self._stack), old.binaries, old.version, old.account)
        self._stack.callback(server.stop, IMMEDIATE)
        return server, self._set_up(server)

    def go_on_with(self, server: Server, small_disk: OptionalTool[SmallDisk]) -> None:
        """Lead all new connections to this server, and remove the old server, which is never used again."""
        old = self.server
        self.server, self.small_disk = server, small_disk
        self.writers.server = self.watch.server = server
        self.spare_proxy.leads_to(server.socket)
        self.spare_proxy.accept()
        self.proxy.refuse()
        self.proxy, self.spare_proxy = self.spare_proxy, self.proxy
        cluster.remove_directory(old.home)

    def _stop(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.wait()


@contextmanager
def fault_environment(seed: Server, chance: Random) -> Iterator[FaultEnvironment]:
    """Run workers and writers on a copy of the seed, until the context ends."""
    with ExitStack() as stack:
        env = FaultEnvironment(seed, chance, stack)
        try:
            env.start()
            yield env
        finally:
            env.writers.stop()
            env.watch.stop()

"""The network swallows data, resets or refuses connections, or is slow."""

import time
from collections.abc import Callable, Iterator

import pytest

from gaq_listen.worker import events, worker
from tests.faults.convergence import assert_converged
from tests.faults.program import running
from tests.faults.proxy import Proxy, network
from tests.faults.server import DATABASE, WORKER, Server
from tests.faults.writing import writing
from tests.support.worker_harness import running_worker

HEARTBEAT = 0.5
NOTICED = 2 * HEARTBEAT
"""Seconds within which a worker notices silence: one heartbeat until its probe, and one for the answer."""
SLACK = 2.0
"""Additional seconds for a busy machine."""


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with network(server.socket) as proxy:
        yield proxy


def dsn(proxy: Proxy) -> str:
    return proxy.dsn(user=WORKER, dbname=DATABASE, connect_timeout=2)


HOLES: dict[str, Callable[[Proxy], None]] = {
    "both ways": lambda proxy: proxy.black_hole(),
    "to the server": lambda proxy: proxy.black_hole(to_client=False),
    "to the worker": lambda proxy: proxy.black_hole(to_server=False),
}


@pytest.mark.parametrize(("hole", "busy"), [*((hole, True) for hole in HOLES), ("both ways", False)])
def test_a_black_hole_is_noticed_in_time(server: Server, proxy: Proxy, hole: str, busy: bool) -> None:
    with running(dsn(proxy), GAQ_LISTEN_HEARTBEAT=f"{HEARTBEAT}s") as program, writing(server) as writers:
        program.until("batch_refreshed")
        if not busy:
            writers.stop()
        began = time.monotonic()
        HOLES[hole](proxy)
        program.until("disconnected")
        assert time.monotonic() - began < NOTICED + SLACK, program.log
        proxy.heal()
        program.until("reconnected")
        assert_converged(server, writers, program)


async def test_only_the_first_reconnection_is_immediate(
    server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a connection that lasted, the worker tries again at once, and then with growing delays."""
    monkeypatch.setattr(worker, "STABLE_AFTER", 0.0)
    async with running_worker(dsn(proxy)) as work:
        proxy.refuse()
        proxy.reset()
        await work.until(lambda: len(work.of(events.Disconnected)) >= 4)
        first, *others = work.of(events.Disconnected)
        assert first.next_try == 0
        assert all(other.next_try > 0 for other in others)
        proxy.accept()
        await work.until(lambda: work.of(events.Reconnected))


def test_a_worker_survives_connections_that_are_reset(server: Server, proxy: Proxy) -> None:
    with writing(server) as writers, running(dsn(proxy)) as program:
        for _ in range(4):
            since = program.now()
            proxy.reset()
            program.until("disconnected", since)
            program.until("reconnected", since)
            program.until("batch_refreshed", since)
        assert_converged(server, writers, program)


def test_a_worker_waits_while_connections_are_refused(server: Server, proxy: Proxy) -> None:
    with writing(server) as writers, running(dsn(proxy)) as program:
        program.until("batch_refreshed")
        proxy.refuse()
        proxy.reset()
        program.until("disconnected", where=lambda values: "refused" in values["reason"])
        proxy.accept()
        program.until("reconnected")
        assert_converged(server, writers, program)


def test_a_slow_network_does_not_end_a_connection(server: Server, proxy: Proxy) -> None:
    with writing(server) as writers, running(dsn(proxy), GAQ_LISTEN_HEARTBEAT=f"{HEARTBEAT}s") as program:
        program.until("batch_refreshed")
        proxy.slow(0.1)
        for _ in range(3):
            since = program.now()
            program.until("batch_refreshed", since)
        assert not program.of("disconnected"), program.log
        proxy.heal()
        assert_converged(server, writers, program)

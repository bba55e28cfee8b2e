"""Faults of the network and of a pooler between the workers and the server."""

from tests.faults import network_namespace
from tests.faults.convergence import assert_clean_stop
from tests.faults.fault_environment import FaultEnvironment
from tests.faults.pooler import pooler


def black_hole(env: FaultEnvironment) -> None:
    directions = env.chance.choice(((True, True), (True, False), (False, True)))
    env.proxy.black_hole(*directions)
    env.some_time(4)
    env.proxy.heal()


def connections_reset(env: FaultEnvironment) -> None:
    env.proxy.reset()


def connections_refused(env: FaultEnvironment) -> None:
    env.proxy.refuse()
    env.proxy.reset()
    env.some_time(2)
    env.proxy.accept()


def slow_network(env: FaultEnvironment) -> None:
    env.proxy.slow(0.05)
    env.some_time(2)
    env.proxy.heal()


def cable_pulled(env: FaultEnvironment) -> None:
    """Pull the cable of one worker, which runs in a network name space of its own."""
    worker = env.another_worker(network_namespace.DSN, command=network_namespace.command(env.server))
    try:
        worker.until("listening")
        worker.send(network_namespace.DOWN)
        worker.until("disconnected")
        worker.send(network_namespace.UP)
        worker.until("reconnected")
        assert_clean_stop(worker)
    finally:
        worker.kill()


def pooler_in_between(env: FaultEnvironment) -> None:
    """Run a single worker behind a pooler. It must find all marks by polling, because no other worker runs."""
    with pooler(env.server, "transaction") as dsn:
        for worker in env.all_started():
            assert_clean_stop(worker)
        polling = env.another_worker(dsn)
        assert "pooler" in polling.until("polling").values["reason"]
        for _ in range(env.chance.randint(1, 3)):
            polling.until("batch_refreshed", polling.now())
        assert_clean_stop(polling)
        for worker in list(env.workers):
            env.replace(worker)

"""What lies between workers and server, and fails."""

from tests.faults import network_namespace
from tests.faults.convergence import ended_well
from tests.faults.fault_environment import Site
from tests.faults.pooler import pooler


def black_hole(site: Site) -> None:
    ways = site.chance.choice(((True, True), (True, False), (False, True)))
    site.way.black_hole(*ways)
    site.some_time(4)
    site.way.heal()


def connections_reset(site: Site) -> None:
    site.way.reset()


def connections_refused(site: Site) -> None:
    site.way.refuse()
    site.way.reset()
    site.some_time(2)
    site.way.accept()


def slow_network(site: Site) -> None:
    site.way.slow(0.05)
    site.some_time(2)
    site.way.heal()


def cable_pulled(site: Site) -> None:
    """Of a worker in a network of its own: to the others the cable is no cable."""
    worker = site.another_worker(network_namespace.DSN, command=network_namespace.command(site.server))
    try:
        worker.until("listening")
        worker.send(network_namespace.DOWN)
        worker.until("disconnected")
        worker.send(network_namespace.UP)
        worker.until("reconnected")
        ended_well(worker)
    finally:
        worker.kill()


def pooler_in_between(site: Site) -> None:
    """And nobody else at work: what it does not see by polling nobody sees."""
    with pooler(site.server, "transaction") as dsn:
        for worker in site.all_started():
            ended_well(worker)
        polling = site.another_worker(dsn)
        assert "pooler" in polling.until("polling").values["reason"]
        for _ in range(site.chance.randint(1, 3)):
            polling.until("batch_refreshed", polling.now())
        ended_well(polling)
        for worker in list(site.workers):
            site.replace(worker)

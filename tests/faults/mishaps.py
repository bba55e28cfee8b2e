"""What a storm is made of: each mishap happens, lasts as long as it does, and is over when the function returns."""

import os
import signal
from collections.abc import Callable

from tests.faults.server import FAST, IMMEDIATE, WORKER, freeze, thaw
from tests.faults.site import Site

_TERMINATE = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like %s"
_NAMES = ("gaq-listen doorbell", "gaq-listen worker", "gaq-listen %")


def worker_killed(site: Site) -> None:
    worker = site.some_worker()
    worker.kill()
    site.replace(worker)


def worker_stopped(site: Site) -> None:
    worker = site.some_worker()
    worker.until("started")
    assert worker.stop(site.chance.choice((signal.SIGINT, signal.SIGTERM))) == 0, worker.log
    site.replace(worker)


def worker_stopped_at_once(site: Site) -> None:
    worker = site.some_worker()
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGTERM)
    # Before it takes signals, in its first moments, one is enough.
    assert worker.wait() in (0, 130, -signal.SIGTERM), worker.log
    site.replace(worker)


def worker_frozen(site: Site) -> None:
    worker = site.some_worker()
    freeze(worker.pid)
    site.some_time(3)
    thaw(worker.pid)


def hangup(site: Site) -> None:
    worker = site.some_worker()
    worker.until("started")
    worker.send(signal.SIGHUP)


def sessions_ended(site: Site) -> None:
    site.server.ask(_TERMINATE, site.chance.choice(_NAMES))


def queries_cancelled(site: Site) -> None:
    for _ in range(5):
        site.server.ask(_TERMINATE.replace("terminate", "cancel"), "gaq-listen %")
        site.some_time(0.05)


def backend_frozen(site: Site) -> None:
    backends = site.server.backends(site.chance.choice(_NAMES))[:1]
    freeze(*backends)
    site.some_time(4)
    thaw(*backends)


def backend_killed(site: Site) -> None:
    backends = site.server.backends(site.chance.choice(("writer", "gaq-listen %")))
    for backend in backends[:1]:
        os.kill(backend, signal.SIGKILL)


def server_restarted(site: Site) -> None:
    site.server.stop(site.chance.choice((FAST, IMMEDIATE)))
    site.some_time(1)
    site.server.start()


def server_killed(site: Site) -> None:
    site.server.kill()
    site.some_time(1)
    site.server.start()


def black_hole(site: Site) -> None:
    ways = site.chance.choice(((True, True), (True, False), (False, True)))
    site.proxy.black_hole(*ways)
    site.some_time(4)
    site.proxy.heal()


def connections_reset(site: Site) -> None:
    site.proxy.reset()


def connections_refused(site: Site) -> None:
    site.proxy.refuse()
    site.proxy.reset()
    site.some_time(2)
    site.proxy.accept()


def slow_network(site: Site) -> None:
    site.proxy.slow(0.05)
    site.some_time(2)
    site.proxy.heal()


def too_many_connections(site: Site) -> None:
    site.server.ask(f"alter role {WORKER} connection limit 0")
    site.server.ask(_TERMINATE, "gaq-listen %")
    site.some_time(2)
    site.server.ask(f"alter role {WORKER} connection limit -1")


def rights_revoked(site: Site) -> None:
    for worker in site.workers:
        worker.until("started")
    site.server.ask(f"revoke gaq_worker from {WORKER}")
    site.some_time(1)
    site.server.ask(f"grant gaq_worker to {WORKER}")


def summaries_locked(site: Site) -> None:
    with site.server.connect() as other, other.transaction():
        other.execute("lock table gaq.summaries in access exclusive mode")
        site.some_time(4)


def transaction_left_open(site: Site) -> None:
    with site.server.connect() as other, other.transaction():
        other.execute("update qc_flags set comment = 'x', deleted = not deleted where id = 1")
        site.some_time(2)


def snapshot_held(site: Site) -> None:
    with site.server.connect() as other, other.transaction():
        other.execute("set transaction isolation level repeatable read")
        other.execute("select 1")
        site.some_time(3)


def marks_pile_up(site: Site) -> None:
    site.server.ask(
        "insert into gaq.invalidations select data_pass_id, run_number, clock_timestamp(), 'pile'"
        " from data_pass_runs, generate_series(1, 2000)"
    )


def marks_of_another_clock(site: Site) -> None:
    hour = site.chance.choice((-1, 1))
    site.server.ask(
        "insert into gaq.invalidations"
        " select data_pass_id, run_number, clock_timestamp() + %s * interval '1 h', 'clock' from data_pass_runs",
        hour,
    )


def flood_of_notifications(site: Site) -> None:
    for _ in range(20):
        site.server.ask("select count(pg_notify('gaq_invalidated', n::text)) from generate_series(1, 500) n")


MISHAPS: dict[str, Callable[[Site], None]] = {
    mishap.__name__.replace("_", " "): mishap
    for mishap in (
        worker_killed,
        worker_stopped,
        worker_stopped_at_once,
        worker_frozen,
        hangup,
        sessions_ended,
        queries_cancelled,
        backend_frozen,
        backend_killed,
        server_restarted,
        server_killed,
        black_hole,
        connections_reset,
        connections_refused,
        slow_network,
        too_many_connections,
        rights_revoked,
        summaries_locked,
        transaction_left_open,
        snapshot_held,
        marks_pile_up,
        marks_of_another_clock,
        flood_of_notifications,
    )
}
"""By name."""

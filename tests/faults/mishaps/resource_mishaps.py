"""Something runs out, piles up, or is in the way."""

from tests.faults.fault_environment import Site
from tests.faults.memory import MUCH, no_more_memory
from tests.faults.notification_queue import filled
from tests.faults.server import WORKER
from tests.faults.waiting import until


def disk_full(site: Site) -> None:
    disk = site.small_disk()
    workers = site.all_started()
    since = {worker: len(worker.raw) for worker in workers}
    with disk.full():
        until(
            lambda: any("could not extend" in text for worker in workers for text in worker.raw[since[worker] :]),
            "a worker runs into that",
        )
        site.some_time(2)


def no_memory_for_a_query(site: Site) -> None:
    site.all_started()
    with site.server.connect() as connection:
        backends = site.server.backends("gaq-listen worker")
        for backend in backends[:1]:
            with no_more_memory(site.server, backend):
                connection.execute(MUCH)
                site.some_time(3)


def summaries_locked(site: Site) -> None:
    """For longer than a batch may take, at times."""
    with site.server.connect() as other, other.transaction():
        other.execute("lock table gaq.summaries in access exclusive mode")
        site.some_time(4)


def timeouts_configured(site: Site) -> None:
    """For the role, so for whoever connects from then on; the worker says for itself what it wants."""
    names = ("statement_timeout", "idle_session_timeout", "lock_timeout")
    for name in names:
        site.server.ask(f"alter role {WORKER} set {name} = '300ms'")
    site.way.reset()
    with site.server.connect() as other, other.transaction():
        other.execute("lock table gaq.summaries in exclusive mode")
        site.some_time(2)
    for name in names:
        site.server.ask(f"alter role {WORKER} reset {name}")


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


def flood_of_notifications(site: Site) -> None:
    for _ in range(20):
        site.server.ask("select count(pg_notify('gaq_invalidated', n::text)) from generate_series(1, 500) n")


def queue_of_notifications_full(site: Site) -> None:
    with filled(site.server, site.chance.choice((0.5, 0.99))):
        site.some_time(3)

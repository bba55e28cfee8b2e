"""Faults of resources: disk, memory, locks, timeouts, marks that pile up, and the queue of notifications."""

from tests.faults.fault_environment import FaultEnvironment
from tests.faults.memory import MUCH, no_more_memory
from tests.faults.notification_queue import filled
from tests.faults.server import WORKER
from tests.support.waiting import until


def disk_full(env: FaultEnvironment) -> None:
    disk = env.small_disk.require()
    workers = env.all_started()
    since = {worker: len(worker.raw) for worker in workers}
    with disk.full():
        until(
            lambda: any("could not extend" in text for worker in workers for text in worker.raw[since[worker] :]),
            "a worker reports the full disk",
        )
        env.some_time(2)


def no_memory_for_a_query(env: FaultEnvironment) -> None:
    env.all_started()
    with env.server.connect() as connection:
        backends = env.server.backends("gaq-listen worker")
        for backend in backends[:1]:
            with no_more_memory(env.server, backend):
                connection.execute(MUCH)
                env.some_time(3)


def summaries_locked(env: FaultEnvironment) -> None:
    """Lock the summaries, sometimes for longer than ``--batch-timeout``."""
    with env.server.connect() as other, other.transaction():
        other.execute("lock table gaq.summaries in access exclusive mode")
        env.some_time(4)


def timeouts_configured(env: FaultEnvironment) -> None:
    """Set timeouts for the role of the workers. A worker must set its own timeouts when it connects."""
    names = ("statement_timeout", "idle_session_timeout", "lock_timeout")
    for name in names:
        env.server.ask(f"alter role {WORKER} set {name} = '300ms'")
    env.proxy.reset()
    with env.server.connect() as other, other.transaction():
        other.execute("lock table gaq.summaries in exclusive mode")
        env.some_time(2)
    for name in names:
        env.server.ask(f"alter role {WORKER} reset {name}")


def transaction_left_open(env: FaultEnvironment) -> None:
    with env.server.connect() as other, other.transaction():
        other.execute("update qc_flags set comment = 'x', deleted = not deleted where id = 1")
        env.some_time(2)


def snapshot_held(env: FaultEnvironment) -> None:
    with env.server.connect() as other, other.transaction():
        other.execute("set transaction isolation level repeatable read")
        other.execute("select 1")
        env.some_time(3)


def marks_pile_up(env: FaultEnvironment) -> None:
    env.server.ask(
        "insert into gaq.invalidations select data_pass_id, run_number, clock_timestamp(), 'pile'"
        " from data_pass_runs, generate_series(1, 2000)"
    )


def flood_of_notifications(env: FaultEnvironment) -> None:
    for _ in range(20):
        env.server.ask("select count(pg_notify('gaq_invalidated', n::text)) from generate_series(1, 500) n")


def queue_of_notifications_full(env: FaultEnvironment) -> None:
    with filled(env.server, env.chance.choice((0.5, 0.99))):
        env.some_time(3)

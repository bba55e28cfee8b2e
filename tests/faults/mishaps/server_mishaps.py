"""Faults of the server and of its backends."""

import os
import signal

from tests.faults.convergence import assert_clean_stop
from tests.faults.fault_environment import FaultEnvironment
from tests.faults.replication import back_up, follow
from tests.faults.server import FAST, IMMEDIATE, SMART, WORKER, freeze, thaw

_TERMINATE = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like %s"
_NAMES = ("gaq-listen doorbell", "gaq-listen worker", "gaq-listen %")


def sessions_ended(env: FaultEnvironment) -> None:
    env.server.ask(_TERMINATE, env.chance.choice(_NAMES))


def queries_cancelled(env: FaultEnvironment) -> None:
    for _ in range(5):
        env.server.ask(_TERMINATE.replace("terminate", "cancel"), "gaq-listen %")
        env.some_time(0.05)


def backend_frozen(env: FaultEnvironment) -> None:
    backends = env.server.backends(env.chance.choice(_NAMES))[:1]
    freeze(*backends)
    env.some_time(4)
    thaw(*backends)


def backend_killed(env: FaultEnvironment) -> None:
    backends = env.server.backends(env.chance.choice(("writer", "gaq-listen %")))
    for backend in backends[:1]:
        os.kill(backend, signal.SIGKILL)


def server_restarted(env: FaultEnvironment) -> None:
    how = env.chance.choice((SMART, FAST, IMMEDIATE))
    if how is SMART:
        # A smart stop refuses new connections and waits for the open ones. After a while, stop the server fast.
        env.server.send(SMART)
        env.some_time(2)
        how = FAST
    env.server.stop(how)
    env.some_time(1)
    env.server.start()


def server_killed(env: FaultEnvironment) -> None:
    env.server.kill()
    env.some_time(1)
    env.server.start()


def server_starts_up_for_long(env: FaultEnvironment) -> None:
    env.server.stop()
    go = env.server.start_held_up()
    env.some_time(4)
    go()


def failover(env: FaultEnvironment) -> None:
    primary = env.server
    standby, small_disk = env.new_server()
    back_up(primary, standby)
    follow(primary, standby)
    waiting = env.another_worker(standby.dsn(user=WORKER))
    assert "standby" in waiting.until("polling").values["reason"]
    env.some_time(1)
    primary.kill()
    env.some_time(2)
    standby.ask("select pg_promote()")
    env.go_on_with(standby, small_disk)
    waiting.until("listening")
    assert_clean_stop(waiting)

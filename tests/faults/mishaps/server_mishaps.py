"""What is done to the server and its backends."""

import os
import signal

from tests.faults.convergence import ended_well
from tests.faults.fault_environment import Site
from tests.faults.replication import back_up, follow
from tests.faults.server import FAST, IMMEDIATE, SMART, WORKER, freeze, thaw

_TERMINATE = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name like %s"
_NAMES = ("gaq-listen doorbell", "gaq-listen worker", "gaq-listen %")


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
    how = site.chance.choice((SMART, FAST, IMMEDIATE))
    if how is SMART:
        # It lets nobody in, and waits for those who are there; until somebody loses patience.
        site.server.send(SMART)
        site.some_time(2)
        how = FAST
    site.server.stop(how)
    site.some_time(1)
    site.server.start()


def server_killed(site: Site) -> None:
    site.server.kill()
    site.some_time(1)
    site.server.start()


def server_starts_up_for_long(site: Site) -> None:
    site.server.stop()
    go = site.server.start_held_up()
    site.some_time(4)
    go()


def failover(site: Site) -> None:
    primary = site.server
    standby, small_disk = site.new_server()
    back_up(primary, standby)
    follow(primary, standby)
    waiting = site.another_worker(standby.dsn(user=WORKER))
    assert "standby" in waiting.until("polling").values["reason"]
    site.some_time(1)
    primary.kill()
    site.some_time(2)
    standby.ask("select pg_promote()")
    site.go_on_with(standby, small_disk)
    waiting.until("listening")
    ended_well(waiting)

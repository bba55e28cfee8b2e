"""What is done to workers, and to where they write."""

import os
import signal
import subprocess

from tests.faults import outputs
from tests.faults.convergence import ended_well
from tests.faults.fault_environment import Site
from tests.faults.server import WORKER, freeze, thaw


def worker_killed(site: Site) -> None:
    worker = site.some_worker()
    worker.kill()
    site.replace(worker)


def worker_stopped(site: Site) -> None:
    worker = site.chance.choice(site.all_started())
    assert worker.stop(site.chance.choice((signal.SIGINT, signal.SIGTERM))) == 0, worker.log
    site.replace(worker)


def worker_stopped_at_once(site: Site) -> None:
    worker = site.some_worker()
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGTERM)
    # Before it takes signals, in its first moments, one is enough.
    assert worker.wait() in (0, 130, -signal.SIGTERM), worker.log
    site.replace(worker)


def worker_stopped_while_it_starts(site: Site) -> None:
    worker = site.another_worker()
    site.some_time(0.6)
    worker.send(signal.SIGTERM)
    assert worker.wait() in (0, -signal.SIGTERM), worker.log


def worker_stopped_while_it_reconnects(site: Site) -> None:
    worker = site.chance.choice(site.all_started())
    since = worker.now()
    site.way.refuse()
    site.way.reset()
    worker.until("disconnected", since)
    site.some_time(1)
    assert worker.stop() == 0, worker.log
    site.way.accept()
    site.replace(worker)


def worker_frozen(site: Site) -> None:
    worker = site.some_worker()
    freeze(worker.pid)
    site.some_time(3)
    thaw(worker.pid)


def hangup(site: Site) -> None:
    worker = site.chance.choice(site.all_started())
    worker.send(signal.SIGHUP)


def output_closed(site: Site) -> None:
    with outputs.started(site.server.dsn(user=WORKER), subprocess.PIPE) as program:
        outputs.head_closes(program)


def disk_of_the_log_full(site: Site) -> None:
    full = outputs.full_disk()
    try:
        with outputs.started(site.server.dsn(user=WORKER), full) as program:
            site.some_time(3)
            program.send_signal(signal.SIGTERM)
            assert program.wait(20) in (0, -signal.SIGTERM)
            assert program.stderr is not None
            assert program.stderr.read() == ""
    finally:
        os.close(full)


def terminal_resized_and_gone(site: Site) -> None:
    child = outputs.in_a_terminal(site.server.dsn(user=WORKER))
    child.expect("LISTENING")
    child.setwinsize(*site.chance.choice(outputs.SIZES))
    child.expect("LISTENING")
    outputs.hang_up(child)


def another_worker_comes_and_goes(site: Site) -> None:
    worker = site.another_worker(site.server.dsn(user=WORKER))
    worker.until("listening")
    site.some_time(2)
    ended_well(worker)

"""Faults of workers, and of the outputs that they write to."""

import os
import signal
import subprocess

from tests.faults import outputs
from tests.faults.convergence import assert_clean_stop
from tests.faults.fault_environment import FaultEnvironment
from tests.faults.server import WORKER, freeze, thaw


def worker_killed(env: FaultEnvironment) -> None:
    worker = env.some_worker()
    worker.kill()
    env.replace(worker)


def worker_stopped(env: FaultEnvironment) -> None:
    worker = env.chance.choice(env.all_started())
    assert worker.stop(env.chance.choice((signal.SIGINT, signal.SIGTERM))) == 0, worker.log
    env.replace(worker)


def worker_stopped_at_once(env: FaultEnvironment) -> None:
    worker = env.some_worker()
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGTERM)
    # In its first moments, before it handles signals, the first signal ends a worker.
    assert worker.wait() in (0, 130, -signal.SIGTERM), worker.log
    env.replace(worker)


def worker_stopped_while_it_starts(env: FaultEnvironment) -> None:
    worker = env.another_worker()
    env.some_time(0.6)
    worker.send(signal.SIGTERM)
    assert worker.wait() in (0, -signal.SIGTERM), worker.log


def worker_stopped_while_it_reconnects(env: FaultEnvironment) -> None:
    worker = env.chance.choice(env.all_started())
    since = worker.now()
    env.proxy.refuse()
    env.proxy.reset()
    worker.until("disconnected", since)
    env.some_time(1)
    assert worker.stop() == 0, worker.log
    env.proxy.accept()
    env.replace(worker)


def worker_frozen(env: FaultEnvironment) -> None:
    worker = env.some_worker()
    freeze(worker.pid)
    env.some_time(3)
    thaw(worker.pid)


def hangup(env: FaultEnvironment) -> None:
    worker = env.chance.choice(env.all_started())
    worker.send(signal.SIGHUP)


def output_closed(env: FaultEnvironment) -> None:
    with outputs.started(env.server.dsn(user=WORKER), subprocess.PIPE) as program:
        outputs.head_closes(program)


def disk_of_the_log_full(env: FaultEnvironment) -> None:
    full = outputs.full_disk()
    try:
        with outputs.started(env.server.dsn(user=WORKER), full) as program:
            env.some_time(3)
            program.send_signal(signal.SIGTERM)
            assert program.wait(20) in (0, -signal.SIGTERM)
            assert program.stderr is not None
            assert program.stderr.read() == ""
    finally:
        os.close(full)


def terminal_resized_and_gone(env: FaultEnvironment) -> None:
    child = outputs.in_a_terminal(env.server.dsn(user=WORKER))
    child.expect("LISTENING")
    child.setwinsize(*env.chance.choice(outputs.SIZES))
    child.expect("LISTENING")
    outputs.hang_up(child)


def another_worker_comes_and_goes(env: FaultEnvironment) -> None:
    worker = env.another_worker(env.server.dsn(user=WORKER))
    worker.until("listening")
    env.some_time(2)
    assert_clean_stop(worker)

"""The output of a worker is closed, is on a full disk, or is a terminal that changes its size or goes away."""

import os
import signal
import subprocess

from tests.faults.convergence import assert_converged, stale
from tests.faults.outputs import SIZES, full_disk, hang_up, head_closes, in_a_terminal, started
from tests.faults.server import WORKER, Server
from tests.faults.writing import writing
from tests.support.waiting import until


def test_a_worker_ends_quietly_when_head_closes_its_output(server: Server) -> None:
    with writing(server) as writers, started(server.dsn(user=WORKER), subprocess.PIPE) as program:
        head_closes(program)
        writers.stop()
    assert writers.errors == []


def test_a_worker_goes_on_when_its_log_cannot_be_written(server: Server) -> None:
    full = full_disk()
    try:
        with writing(server) as writers, started(server.dsn(user=WORKER), full) as program:
            until(lambda: writers.changes > 50, "writers make changes")
            assert_converged(server, writers)
            assert program.poll() is None
            program.send_signal(signal.SIGTERM)
            assert program.wait(20) == 0
            assert program.stderr is not None
            assert program.stderr.read() == ""
    finally:
        os.close(full)


def test_a_worker_survives_resizing_and_ends_with_its_terminal(server: Server) -> None:
    child = in_a_terminal(server.dsn(user=WORKER))
    with writing(server) as writers:
        child.expect("LISTENING")
        for size in SIZES:
            child.setwinsize(*size)
            child.expect("LISTENING")
        hang_up(child)
        writers.stop()
    with started(server.dsn(user=WORKER), subprocess.DEVNULL) as program:
        until(lambda: stale(server) == 0, "the next worker refreshes what is left")
        program.send_signal(signal.SIGTERM)
        assert program.wait(20) == 0
    assert_converged(server, writers)

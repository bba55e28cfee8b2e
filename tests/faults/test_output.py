"""What happens to the output of a worker: closed, full, of another size, gone."""

import os
import signal
import subprocess

from tests.faults.convergence import assert_converged, stale
from tests.faults.outputs import SIZES, full_disk, hang_up, head_closes, in_a_terminal, started
from tests.faults.server import WORKER, Server
from tests.faults.waiting import until
from tests.faults.writing import writing


def test_head_closes_it(server: Server) -> None:
    with writing(server) as writers, started(server.dsn(user=WORKER), subprocess.PIPE) as program:
        head_closes(program)
        writers.stop()
    assert writers.errors == []


def test_the_disk_of_the_log_is_full(server: Server) -> None:
    full = full_disk()
    try:
        with writing(server) as writers, started(server.dsn(user=WORKER), full) as program:
            until(lambda: writers.changes > 50, "they write")
            assert_converged(server, writers)
            assert program.poll() is None
            program.send_signal(signal.SIGTERM)
            assert program.wait(20) == 0
            assert program.stderr is not None
            assert program.stderr.read() == ""
    finally:
        os.close(full)


def test_a_terminal_is_resized_and_then_gone(server: Server) -> None:
    child = in_a_terminal(server.dsn(user=WORKER))
    with writing(server) as writers:
        child.expect("LISTENING")
        for size in SIZES:
            child.setwinsize(*size)
            child.expect("LISTENING")
        hang_up(child)
        writers.stop()
    with started(server.dsn(user=WORKER), subprocess.DEVNULL) as program:
        until(lambda: stale(server) == 0, "what is left is refreshed by the next")
        program.send_signal(signal.SIGTERM)
        assert program.wait(20) == 0
    assert_converged(server, writers)

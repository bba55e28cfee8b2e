"""What happens to the output of a worker: closed, full, of another size, gone."""

import os
import signal
import subprocess
import sys

import pexpect
import pytest

from gaq_listen.demo.cluster import environment
from tests.faults.program import PROGRAM
from tests.faults.server import WORKER, Server
from tests.faults.verdict import all_is_well, stale
from tests.faults.waiting import until
from tests.faults.writing import writing


def started(server: Server, stdout: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, "run", "--log-format", "plain"],
        env=environment() | {"GAQ_LISTEN_DSN": server.dsn(user=WORKER)},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_head_closes_it(server: Server) -> None:
    with writing(server) as writers, started(server, subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        assert "started" in program.stdout.readline()
        program.stdout.close()
        assert program.wait(20) == 0
        assert program.stderr.read() == ""
        writers.stop()
    assert writers.errors == []


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: only Linux has /dev/full")
def test_the_disk_of_the_log_is_full(server: Server) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with writing(server) as writers, started(server, full) as program:
            until(lambda: writers.changes > 50, "they write")
            all_is_well(server, writers)
            assert program.poll() is None
            program.send_signal(signal.SIGTERM)
            assert program.wait(20) == 0
            assert program.stderr is not None
            assert program.stderr.read() == ""
    finally:
        os.close(full)


def test_a_terminal_is_resized_and_then_gone(server: Server) -> None:
    child = pexpect.spawn(
        PROGRAM,
        ["run"],
        env=environment() | {"GAQ_LISTEN_DSN": server.dsn(user=WORKER), "TERM": "xterm-256color"},
        dimensions=(30, 120),
        encoding="utf-8",
        timeout=20,
    )
    with writing(server) as writers:
        child.expect("LISTENING")
        for size in ((10, 40), (50, 200), (3, 20), (30, 120)):
            child.setwinsize(*size)
            child.expect("LISTENING")
        # The terminal goes: the kernel sends SIGHUP.
        terminal = vars(child)["ptyproc"]
        terminal.fileobj.close()
        child.closed = terminal.closed = True
        until(lambda: not child.isalive(), "it has ended")
        assert (child.exitstatus, child.signalstatus) == (0, None)
        writers.stop()
    with started(server, subprocess.DEVNULL) as program:
        until(lambda: stale(server) == 0, "what is left is refreshed by the next")
        program.send_signal(signal.SIGTERM)
        assert program.wait(20) == 0
    all_is_well(server, writers)

"""A worker whose output is not read by us: a pipe, a file, a terminal."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from gaq_listen.private_postgres.cluster import environment
from tests.faults.program import PROGRAM
from tests.faults.waiting import until

FULL = Path("/dev/full")
"""A file on a disk that is full."""
SIZES = ((10, 40), (50, 200), (3, 20), (30, 120))
"""Lines and columns of terminals."""


def started(dsn: str, stdout: int) -> subprocess.Popen[str]:
    """A worker that writes plain lines there, and errors to a pipe."""
    return subprocess.Popen(
        [PROGRAM, "run", "--log-format", "plain"],
        env=environment() | {"GAQ_LISTEN_DSN": dsn},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def head_closes(program: subprocess.Popen[str]) -> None:
    """Reads a line of it, as ``head -1`` does, and no more; it ends quietly.

    The program was started with a pipe for its output.
    """
    assert program.stdout is not None
    assert program.stderr is not None
    assert "started" in program.stdout.readline()
    program.stdout.close()
    assert program.wait(20) == 0
    assert program.stderr.read() == ""


def full_disk() -> int:
    """A file descriptor to which nothing can be written, for want of space."""
    if not FULL.exists():
        pytest.skip("NOT TESTED: only Linux has /dev/full")
    return os.open(FULL, os.O_WRONLY)


def in_a_terminal(dsn: str) -> "pexpect.spawn[str]":
    """A worker with its live console."""
    return pexpect.spawn(
        PROGRAM,
        ["run"],
        env=environment() | {"GAQ_LISTEN_DSN": dsn, "TERM": "xterm-256color"},
        dimensions=SIZES[-1],
        encoding="utf-8",
        timeout=20,
    )


def hang_up(child: "pexpect.spawn[str]") -> None:
    """The terminal goes: the kernel sends SIGHUP, and the worker ends as it should."""
    terminal: Any = vars(child)["ptyproc"]
    terminal.fileobj.close()
    child.closed = terminal.closed = True
    until(lambda: not child.isalive(), "it has ended")
    assert (child.exitstatus, child.signalstatus) == (0, None)

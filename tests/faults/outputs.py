"""Start workers that write to a pipe, to a full disk or to a terminal."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest

from gaq_listen.private_postgres.cluster import environment
from tests.faults.program import PROGRAM
from tests.support.waiting import until

FULL = Path("/dev/full")
"""A file on which every write fails because the disk is full. Only Linux has it."""
SIZES = ((10, 40), (50, 200), (3, 20), (30, 120))
"""Sizes of terminals, in lines and columns."""


def started(dsn: str, stdout: int) -> subprocess.Popen[str]:
    """Start a worker that writes plain lines to ``stdout``, and errors to a pipe."""
    return subprocess.Popen(
        [PROGRAM, "run", "--log-format", "plain"],
        env=environment() | {"GAQ_LISTEN_DSN": dsn},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def head_closes(program: subprocess.Popen[str]) -> None:
    """Read one line and close the pipe, as ``head -1`` does. Check that the worker ends without an error.

    The output of ``program`` must be a pipe.
    """
    assert program.stdout is not None
    assert program.stderr is not None
    assert "started" in program.stdout.readline()
    program.stdout.close()
    assert program.wait(20) == 0
    assert program.stderr.read() == ""


def full_disk() -> int:
    """Return a file descriptor on a full disk."""
    if not FULL.exists():
        pytest.skip("NOT TESTED: only Linux has /dev/full")
    return os.open(FULL, os.O_WRONLY)


def in_a_terminal(dsn: str) -> "pexpect.spawn[str]":
    """Start a worker with its console, in a terminal."""
    return pexpect.spawn(
        PROGRAM,
        ["run"],
        env=environment() | {"GAQ_LISTEN_DSN": dsn, "TERM": "xterm-256color"},
        dimensions=SIZES[-1],
        encoding="utf-8",
        timeout=20,
    )


def hang_up(child: "pexpect.spawn[str]") -> None:
    """Close the terminal, so that the kernel sends SIGHUP. Check that the worker exits with 0."""
    terminal: Any = vars(child)["ptyproc"]
    terminal.fileobj.close()
    child.closed = terminal.closed = True
    until(lambda: not child.isalive(), "it has ended")
    assert (child.exitstatus, child.signalstatus) == (0, None)

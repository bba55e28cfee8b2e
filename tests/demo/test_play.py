"""Test that the command demo prints its result, and leaves nothing behind however it ends."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.waiting import until

PROGRAM = str(Path(sys.executable).with_name("gaq-listen"))
PATIENCE = 60.0


@contextmanager
def demo(*words: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run a demo until its shift makes changes. Yield its process and the directory of its server's socket."""
    with subprocess.Popen(
        [PROGRAM, "demo", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        directory = None
        for line in process.stderr:
            if found := re.search(r"psql -h (\S+)", line):
                directory = Path(found[1])
                break
        assert directory is not None
        for line in process.stdout:
            if "(flag)" in line:
                break
        yield process, directory


def test_demo_prints_its_result_and_leaves_nothing_stale() -> None:
    answer = subprocess.run(
        [PROGRAM, "demo", "--seconds", "3"],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    found = re.fullmatch(
        r"demo: (\d+) changes made, (\d+) pairs refreshed, "
        r"commit to fresh p50 ([\d.]+) ms, p99 ([\d.]+) ms, stale pairs left: 0",
        answer.stdout.splitlines()[-1],
    )
    assert found, answer.stdout.splitlines()[-1]
    changes, pairs, p50, p99 = map(float, found.groups())
    assert changes > 10
    assert pairs > 10
    assert 0 < p50 <= p99


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_after_a_signal_prints_its_result(number: signal.Signals) -> None:
    with demo() as (process, directory):
        assert directory.exists()
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert "stale pairs left: 0" in out.splitlines()[-1]
        assert not err
        assert not directory.exists()


def test_demo_killed_leaves_nothing() -> None:
    with demo() as (process, directory):
        assert directory.exists()
        process.kill()
        until(lambda: not directory.exists())
        process.communicate(timeout=PATIENCE)


def test_demo_terminated_at_its_start_leaves_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([PROGRAM, "demo"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "starting" in process.stderr.readline()
        supervisor = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        if supervisor.exists():  # on Linux the supervisor starts the server in a child process
            until(lambda: bool(supervisor.read_text()))
            (child,) = supervisor.read_text().split()
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    if supervisor.exists():
        until(lambda: not Path(f"/proc/{child}").exists())

"""Run the program on a real terminal and in pipes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from psycopg import Connection

from tests.support.waiting import PATIENCE, until

PROGRAM = str(Path(sys.executable).with_name("gaq-listen"))
BAD_FLAG = "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, 501, 1, 2)"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def on_terminal(environment: dict[str, str], *words: str) -> Any:
    """Start the program on a terminal of 80 columns. Ctrl-C reaches it also when the tests run in the background."""

    def hear_ctrl_c() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return pexpect.spawn(
        PROGRAM,
        [*words],
        env=environment,
        dimensions=(24, 80),
        timeout=PATIENCE,
        encoding="utf-8",
        preexec_fn=hear_ctrl_c,
    )


@pytest.fixture
def environment(dsn: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    return {**inherited, "GAQ_LISTEN_DSN": dsn, "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def terminal(environment: dict[str, str], period: Connection[Any]) -> Iterator[Any]:
    """Start ``gaq-listen run`` on a terminal of 80 columns."""
    child = on_terminal(environment, "run", "--name", "gaq-1")
    yield child
    child.close(force=True)


def test_run_on_a_terminal_shows_the_console(terminal: Any, period: Connection[Any]) -> None:
    terminal.expect("connected to ")
    terminal.expect("LISTENING")
    period.execute(BAD_FLAG.encode())
    terminal.expect(r"LHC22o_apass7/501 [^\n]*100\.0 → 0\.0 % [^\n]*after [^\n]* flag")
    terminal.expect("nothing stale")

    def panel_of(columns: int) -> None:
        terminal.setwinsize(40, columns)
        while len(bottom()) != columns:
            pass

    def bottom() -> str:
        terminal.expect("╰[^╰╯]* times in UTC [^╰╯]*╯")
        return CONTROL.sub("", terminal.after)

    panel_of(130)
    panel_of(50)
    period.execute("select gaq.pause('upgrade', 'ops')")
    terminal.expect("paused by ops .* ago: upgrade")
    terminal.expect("PAUSED")
    period.execute("select gaq.resume()")
    terminal.expect("resumed after")
    terminal.expect("LISTENING")
    terminal.sendintr()
    terminal.expect("stopping: SIGINT")
    terminal.expect("stopped: 1 pair in 1 batch")
    terminal.expect(pexpect.EOF)
    terminal.wait()
    assert (terminal.exitstatus, terminal.signalstatus) == (0, None)


def test_run_piped_into_head_exits_without_an_error(environment: dict[str, str], period: Connection[Any]) -> None:
    with subprocess.Popen(
        ["sh", "-c", f"'{PROGRAM}' run; echo $? >&2"],  # noqa: S607
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as worker:
        head = subprocess.Popen(["head", "-n", "2"], stdin=worker.stdout, stdout=subprocess.PIPE, text=True)  # noqa: S607
        assert worker.stdout is not None
        assert worker.stderr is not None
        worker.stdout.close()
        shown, _ = head.communicate(timeout=PATIENCE)
        until(lambda: period.execute(BAD_FLAG.encode()) and worker.poll() is not None)
        errors = worker.stderr.read()
    assert [line.split()[2] for line in shown.splitlines()] == ["started", "listening"]
    assert errors == "0\n"


@pytest.mark.parametrize("words", [["status", "--watch"], ["status", "--watch", "--json"]])
def test_status_watch_with_a_closed_stdout_exits_quietly(
    environment: dict[str, str], period: Connection[Any], words: list[str]
) -> None:
    with subprocess.Popen(
        [PROGRAM, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watch:
        assert watch.stdout is not None
        assert watch.stderr is not None
        assert watch.stdout.readline()
        watch.stdout.close()
        watch.wait(PATIENCE)
        assert watch.stderr.read() == ""


def test_run_with_json_log_writes_an_object_a_line(environment: dict[str, str], period: Connection[Any]) -> None:
    with subprocess.Popen(
        [PROGRAM, "run", "--log-format", "json"], env=environment, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        started, listening = (json.loads(worker.stdout.readline()) for _ in range(2))
        period.execute(BAD_FLAG.encode())
        batch = json.loads(worker.stdout.readline())
        worker.send_signal(signal.SIGTERM)
        stopping, stopped = map(json.loads, worker.stdout)
    assert worker.returncode == 0
    told = (started, listening, batch, stopping, stopped)
    assert [each["event"] for each in told] == ["started", "listening", "batch_refreshed", "stopping", "stopped"]
    assert batch["pairs"][0]["run_number"] == 501


def test_status_watch_on_a_terminal_shows_changes(environment: dict[str, str], period: Connection[Any]) -> None:
    with on_terminal(environment, "status", "--watch") as child:
        child.expect("FRESH")
        child.expect("nothing is stale")
        period.execute(BAD_FLAG.encode())
        child.expect("NOT FRESH")
        child.expect("1 pair stale")
        child.sendintr()
        child.expect(pexpect.EOF)
        child.wait()
        assert child.exitstatus == 1

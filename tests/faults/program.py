"""Run ``gaq-listen run`` as a process, and read the lines that it writes."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gaq_listen.private_postgres.cluster import environment
from tests.support.waiting import PATIENCE

PROGRAM = str(Path(sys.executable).with_name("gaq-listen"))

_LINE = re.compile(r"(\S+Z) (INFO|WARNING|ERROR) (\w+)(.*)")
_VALUE = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log. ``at`` is the monotonic time at which the test read it, in seconds."""

    at: float
    level: str
    event: str
    values: dict[str, str]


class Program:
    """A process ``gaq-listen run`` that writes plain log lines."""

    def __init__(self, dsn: str, *words: str, command: tuple[str, ...] = (PROGRAM, "run"), **options: Any) -> None:
        self.lines: list[Line] = []
        self.raw: list[str] = []
        self._news = threading.Condition()
        given = {name.upper(): value for name, value in options.items()}
        self.process = subprocess.Popen(
            [*command, *words],
            env=environment() | {"GAQ_LISTEN_DSN": dsn, "GAQ_LISTEN_LOG_FORMAT": "plain"} | given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="reads the program's lines", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for text in output:
                found = _LINE.match(text)
                with self._news:
                    self.raw.append(text.rstrip("\n"))
                    if found:
                        values = {key: _unquoted(value) for key, value in _VALUE.findall(found[4])}
                        self.lines.append(Line(time.monotonic(), found[2], found[3], values))
                    self._news.notify_all()

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self.process.pid

    def now(self) -> int:
        """Return the number of log lines so far. As ``since``, this means: lines that are written from now on."""
        return len(self.lines)

    def until(
        self,
        event: str,
        since: int = 0,
        where: Callable[[dict[str, str]], Any] = lambda values: True,
        patience: float = PATIENCE,
    ) -> Line:
        """Wait for a log line of this event, from line ``since`` on, whose values satisfy ``where``, and return it."""

        def found() -> Line | None:
            return next((line for line in self.lines[since:] if line.event == event and where(line.values)), None)

        with self._news:
            self._news.wait_for(lambda: found() or self.ended, patience)
            line = found()
        if line is None:
            how = "the program ended" if self.ended else f"not within {patience:g} s"
            raise AssertionError(f"no line {event!r}: {how}\n{self.log}")
        return line

    def of(self, event: str) -> list[Line]:
        """Return the lines of one event so far."""
        return [line for line in self.lines if line.event == event]

    @property
    def ended(self) -> bool:
        """Return whether the program has closed its output, so that no line can follow."""
        return not self._reader.is_alive()

    @property
    def log(self) -> str:
        """Return everything that the program has written."""
        return "\n".join(self.raw)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait until the process ends, and return its exit code, or minus the number of the signal that ended it."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the program has not ended within {patience:g} s\n{self.log}") from None
        self._reader.join(PATIENCE)
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM, patience: float = PATIENCE) -> int:
        """Send the process a signal to end, unless it has ended, and return its exit code."""
        if self.process.poll() is None:
            self.send(number)
        return self.wait(patience)

    def kill(self) -> None:
        """Kill the process (SIGKILL), and wait for its end."""
        self.process.kill()
        self.wait()

    def memory(self) -> int:
        """Return the resident memory of the process, in bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def peak_memory(self) -> int:
        """Return the largest resident memory that the process has had, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def refreshed(self) -> int:
        """Return how many pairs the program has logged as refreshed."""
        return sum(int(line.values["pairs"]) for line in self.of("batch_refreshed"))

    def cpu(self) -> float:
        """Return the CPU time that the process has used, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wake_ups(self) -> int:
        """Return how often the threads of the process have waited for something, and were woken up."""
        statuses = [path.read_text() for path in Path(f"/proc/{self.pid}/task").glob("*/status")]
        return sum(int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for status in statuses)


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


@contextmanager
def running(dsn: str, *words: str, ready: str = "listening", **options: Any) -> Iterator[Program]:
    """Start a program and wait for a line of the event ``ready``. At the end, kill the program if it still runs."""
    program = Program(dsn, *words, **options)
    try:
        if ready:
            program.until(ready)
        yield program
    finally:
        program.process.kill()
        program.wait()

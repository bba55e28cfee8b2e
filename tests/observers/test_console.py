"""Test the live console on a terminal, and when an observer chooses it."""

import fcntl
import io
import os
import re
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

import pytest
from rich.console import Console

from gaq_listen.observers.console import live_console
from gaq_listen.observers.output import show_on
from gaq_listen.settings import OutputSettings, WorkerSettings
from gaq_listen.worker.events import Listening, Stopped, Swept
from tests.observers.example_events import ENDED, WORKING, batch, pair

PATIENCE = 20.0
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that rich reads, whatever terminal runs the tests."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")


class Terminal:
    """Open a pseudo-terminal, with a stream to write to, and keep what arrives."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.stream = os.fdopen(slave, "w", encoding=encoding)
        self._arrived = bytearray()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 4096)
            except OSError:  # the other side has closed
                return
            self._arrived += data

    def close(self) -> str:
        """Close the terminal, and return all that has arrived."""
        if not self.stream.closed:
            self.stream.close()
            self._thread.join()
            os.close(self._master)
        return self._arrived.decode()


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(encoding: str = "utf-8") -> Terminal:
        opened.append(Terminal(encoding))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


def on_screen(written: str) -> list[str]:
    """Return the lines of a tall terminal after this was written to it."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\n)", written):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == "\x1b[1A":
            row -= 1
        elif part == "\x1b[2K":
            lines[row] = ""
        elif not part.startswith("\x1b"):
            lines[row] += part.replace("\r", "")
    return lines


def fake_terminal(file: IO[str]) -> Console:
    return Console(file=file, force_terminal=True, width=80, height=24, color_system="standard")


def test_lines_scroll_above_a_panel_that_stays() -> None:
    file = io.StringIO()
    with live_console(fake_terminal(file), lambda: None, WorkerSettings(), 1.0) as observe:
        for event in ENDED:
            observe(event)
    shown = file.getvalue()
    *scrolled, top, state, backlog, freshness, last, swept, bottom, empty, rest = on_screen(shown)
    assert len(scrolled) == len(ENDED) - 2, "a sweep that found nothing has no line, nor has a count"
    assert all(re.match(r"\d\d:\d\d:\d\d\.\d{3}  ", line) for line in scrolled[:-1])
    assert scrolled[-1].startswith("stopped: 19 pairs in 8 batches, 1 min 05 s, fresh p50 13 ms")
    assert top.startswith("╭─ gaq-listen · gaq on PostgreSQL 18.1 ─")
    assert state.startswith("│ STOPPED  after 1 min 05 s ")
    assert backlog.startswith("│ nothing stale · ")
    assert freshness.startswith("│ fresh in p50 13 ms")
    assert last.startswith("│ woken 0 s ago · last batch 12 pairs in 8.4 ms, of 20 (20 to 400)")
    assert swept.startswith("│ the last sweep found nothing · no pair fails")
    assert bottom.startswith("╰─")
    assert (empty, rest) == ("", ""), "^C and the shell's prompt go below the panel"
    assert "\x1b[?1049h" not in shown, "it must not hide what the terminal showed before"
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor must come back"


def test_the_panel_is_redrawn_without_events() -> None:
    file = io.StringIO()
    with live_console(fake_terminal(file), lambda: None, WorkerSettings(), 1.0) as observe:
        # A sweep that found nothing leaves no line in the tail.
        observe(Swept(0))
        deadline = time.monotonic() + PATIENCE
        while "sweep found nothing" not in file.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        shown = file.getvalue()
    assert "sweep found nothing" in shown


def test_the_console_closes_when_the_worker_fails() -> None:
    file = io.StringIO()
    stdout = sys.stdout

    def fail() -> None:
        with live_console(fake_terminal(file), lambda: None, WorkerSettings(), 1.0) as observe:
            observe(Listening())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert file.getvalue().endswith("\x1b[?25h")
    assert sys.stdout is stdout
    assert not [t for t in threading.enumerate() if t.name == "gaq-listen output"]


def test_a_stray_message_scrolls_above_the_panel() -> None:
    file = io.StringIO()
    with live_console(fake_terminal(file), lambda: None, WorkerSettings(), 1.0):
        print("a stray message")  # noqa: T201
    assert "a stray message" in file.getvalue()


def test_stderr_is_left_alone_unless_it_is_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = io.StringIO()
    with live_console(fake_terminal(file), lambda: None, WorkerSettings(), 1.0):
        print("an error", file=sys.stderr)  # noqa: T201
    assert "an error" not in file.getvalue()
    assert capsys.readouterr().err == "an error\n"


COLOURS = re.compile(r"\x1b\[[0-9;]*3[1-7]")


def test_a_terminal_has_colours(terminal: Callable[..., Terminal]) -> None:
    screen = terminal()
    with show_on(screen.stream, OutputSettings()) as observe:
        observe(batch(pair()))
    assert COLOURS.search(screen.close())


def test_no_color_removes_colours(terminal: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = terminal()
    with show_on(screen.stream, OutputSettings()) as observe:
        for event in WORKING:
            observe(event)
    shown = screen.close()
    assert "╭─ gaq-listen" in CONTROL.sub("", shown)
    assert not COLOURS.search(shown)


def test_auto_is_plain_off_a_terminal_despite_force_color(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    file = io.StringIO()
    with show_on(file, OutputSettings()) as observe:
        observe(Listening())
    assert re.fullmatch(r"\S+Z INFO listening\n", file.getvalue())


def test_auto_is_plain_on_a_terminal_that_cannot_redraw(
    terminal: Callable[..., Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = terminal()
    with show_on(screen.stream, OutputSettings()) as observe:
        observe(Listening())
    assert re.fullmatch(r"\S+Z INFO listening\r\n", screen.close())


def test_auto_is_plain_on_a_terminal_without_unicode(terminal: Callable[..., Terminal]) -> None:
    screen = terminal("ascii")
    with show_on(screen.stream, OutputSettings()) as observe:
        observe(Listening())
    assert re.fullmatch(r"\S+Z INFO listening\r\n", screen.close())


def test_plain_is_plain_on_a_terminal(terminal: Callable[..., Terminal]) -> None:
    screen = terminal()
    with show_on(screen.stream, OutputSettings(log_format="plain")) as observe:
        observe(Stopped(0, 0, 0.0))
    assert re.fullmatch(r"\S+Z INFO stopped batches=0 pairs=0 seconds=0.0\r\n", screen.close())

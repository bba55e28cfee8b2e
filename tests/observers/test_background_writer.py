"""Test that an output which is blocked, closed or full never delays the worker."""

import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import IO

import pytest

from gaq_listen.observers.background_writer import QUEUED, BackgroundWriter
from gaq_listen.observers.output import show_on
from gaq_listen.settings import LogFormat, OutputSettings, WorkerSettings
from gaq_listen.worker.events import Listening, Observer, Stopped, Swept
from tests.observers.example_events import WORKING, batch, pair

PATIENCE = 20.0
"""Seconds to wait for what should happen at once, on a busy machine too."""


def showing(
    log_format: LogFormat, stdout: IO[str], on_closed: Callable[[], None] = lambda: None
) -> AbstractContextManager[Observer]:
    """Return a context that yields an observer, which shows events in this format."""
    return show_on(stdout, OutputSettings(log_format=log_format), WorkerSettings(), on_closed)


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[str]]]:
    """Yield both ends of a pipe, the one for reading first."""
    reading, writing = os.pipe()
    with ExitStack() as stack:
        ends = os.fdopen(reading, "rb"), os.fdopen(writing, "w")
        for end in reversed(ends):
            stack.callback(end.close)
        yield ends


@pytest.mark.parametrize("log_format", ["plain", "rich"])
def test_a_closed_pipe_is_reported_once(log_format: LogFormat, pipe: tuple[IO[bytes], IO[str]]) -> None:
    reader, writer = pipe
    reader.close()
    calls: list[str] = []
    called = threading.Event()

    def closed() -> None:
        calls.append(threading.current_thread().name)
        called.set()

    with showing(log_format, writer, closed) as observe:
        observe(Listening())
        assert called.wait(PATIENCE)
        for event in WORKING:
            observe(event)
    assert calls == ["gaq-listen output"]
    writer.write("into nowhere")
    writer.flush()


@pytest.mark.parametrize("log_format", ["plain", "rich"])
def test_a_program_without_a_reader_ends_without_an_error(log_format: str) -> None:
    program = f"""
import sys, threading
from gaq_listen.observers.output import show_on
from gaq_listen.settings import OutputSettings, WorkerSettings
from gaq_listen.worker.events import Listening, Stopping
done = threading.Event()
def closed():
    observe(Stopping("nobody reads"))
    done.set()
with show_on(sys.stdout, OutputSettings(log_format={log_format!r}), WorkerSettings(), closed) as observe:
    observe(Listening())
    done.wait()
    print("more")
"""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("log_format", ["plain", "rich"])
def test_a_closed_pipe_is_not_reported_after_the_last_event(
    log_format: LogFormat, pipe: tuple[IO[bytes], IO[str]]
) -> None:
    reader, writer = pipe
    reader.close()
    calls: list[None] = []
    with showing(log_format, writer, lambda: calls.append(None)) as observe:
        observe(Stopped(0, 0, 0.0))
    assert calls == []


def test_a_console_without_a_reader_closes_without_an_error(pipe: tuple[IO[bytes], IO[str]]) -> None:
    reader, writer = pipe
    reader.close()
    with showing("rich", writer):
        pass
    writer.write("into nowhere")
    writer.flush()


def test_a_closed_output_without_a_descriptor_is_reported_once() -> None:
    calls: list[None] = []
    tried = threading.Semaphore(0)

    def write(items: list[str], left_out: int) -> None:
        tried.release()
        raise BrokenPipeError(32, "Broken pipe")

    with BackgroundWriter(write, io.StringIO(), lambda: calls.append(None)) as output:
        output.put("one")
        assert tried.acquire(timeout=PATIENCE)
        output.put("two")
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("log_format", "a_batch", "missing", "end"),
    [
        ("plain", " INFO batch_refreshed ", r" left_out lines=(\d+)", " INFO stopped .* p50_ms=13.0 "),
        ("rich", "/526641  ", r"^([\d ]+) lines left out", "^stopped: .* fresh p50 13 ms"),
    ],
)
def test_a_blocked_output_does_not_block_the_worker(
    log_format: LogFormat, a_batch: str, missing: str, end: str, pipe: tuple[IO[bytes], IO[str]]
) -> None:
    reader, writer = pipe
    many = 5 * QUEUED
    read: list[bytes] = []
    taking = threading.Thread(target=lambda: read.append(reader.read()))

    with showing(log_format, writer) as observe:

        def work() -> None:
            for _ in range(many):
                observe(batch(pair()))
            observe(Stopped(many, many, 1.0))

        worker = threading.Thread(target=work)
        worker.start()
        worker.join(PATIENCE)
        held_up = worker.is_alive()
        # Leaving the context would wait forever without a reader.
        taking.start()
        worker.join()
    writer.close()
    taking.join()
    assert not held_up
    shown = read[0].decode()
    left_out = [int(n.replace(" ", "")) for n in re.findall(missing, shown, re.MULTILINE)]
    assert sum(left_out) > 0
    assert shown.count(a_batch) + sum(left_out) == many
    assert re.search(end, shown, re.MULTILINE)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_costs_only_lines() -> None:
    calls: list[None] = []
    full = open("/dev/full", "w")  # noqa: PTH123, SIM115
    with showing("plain", full, lambda: calls.append(None)) as observe:
        observe(Listening())
    full.close()  # must not fail again with what the disk did not take
    assert calls == []


def test_writing_goes_on_after_an_error() -> None:
    written: list[str] = []
    tried = threading.Event()

    def write(items: list[str], left_out: int) -> None:
        if not tried.is_set():
            tried.set()
            raise OSError(28, "No space left on device")
        written.extend(items)

    with BackgroundWriter(write, io.StringIO(), lambda: None) as output:
        output.put("lost")
        assert tried.wait(PATIENCE)
        output.put("kept")
    assert written == ["kept"]


def test_each_line_is_flushed_at_once(pipe: tuple[IO[bytes], IO[str]]) -> None:
    reader, writer = pipe
    with showing("plain", writer) as observe:
        observe(Listening())
        assert reader.readline().endswith(b" INFO listening\n")
        observe(Swept(0))
        observe(Swept(2))
        assert reader.readline().endswith(b" INFO swept found=2\n")


def test_a_character_outside_the_encoding_is_spelled_out() -> None:
    raw = io.BytesIO()
    name = "Zürich"
    with showing("plain", io.TextIOWrapper(raw, encoding="ascii")) as observe:
        observe(batch(pair(data_pass=name)))
    assert rb'"Z\xfcrich/526641 (flag) good 92.1 \u2192 88.4 %"' in raw.getvalue()

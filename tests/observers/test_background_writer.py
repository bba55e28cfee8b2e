"""Writing to whatever takes it, or takes it no more, without a word to the worker."""

import io
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import pytest

from gaq_listen.observers import observing
from gaq_listen.observers.background_writer import KEPT, BackgroundWriter
from gaq_listen.settings import LogFormat
from gaq_listen.worker.events import Listening, Stopped, Swept
from tests.observers.example_events import WORKING, batch, pair

PATIENCE = 20.0
"""Seconds within which what should happen at once has happened, also on a machine that is busy."""


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], IO[str]]]:
    """Both ends of a pipe: to read from, to write to."""
    reading, writing = os.pipe()
    with ExitStack() as stack:
        ends = os.fdopen(reading, "rb"), os.fdopen(writing, "w")
        for end in reversed(ends):
            stack.callback(end.close)
        yield ends


@pytest.mark.parametrize("form", ["plain", "rich"])
def test_a_closed_pipe_ends_quietly(form: LogFormat, pipe: tuple[IO[bytes], IO[str]]) -> None:
    reader, writer = pipe
    reader.close()
    calls: list[str] = []
    called = threading.Event()

    def closed() -> None:
        calls.append(threading.current_thread().name)
        called.set()

    with observing(form, writer, closed) as observe:
        observe(Listening())
        assert called.wait(PATIENCE)
        for event in WORKING:
            observe(event)
    assert calls == ["gaq-listen output"]
    writer.write("into nowhere")
    writer.flush()


@pytest.mark.parametrize("form", ["plain", "rich"])
def test_a_program_whose_reader_has_gone_says_nothing_at_its_end(form: str) -> None:
    program = f"""
import sys, threading
from gaq_listen.settings import LogFormat
from gaq_listen.worker.events import Listening, Stopping
from gaq_listen.observers import observing
told = threading.Event()
def closed():
    observe(Stopping("nobody reads"))
    told.set()
with observing({form!r}, sys.stdout, closed) as observe:
    observe(Listening())
    told.wait()
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


@pytest.mark.parametrize("form", ["plain", "rich"])
def test_nobody_is_told_of_a_closed_output_after_the_end(form: LogFormat, pipe: tuple[IO[bytes], IO[str]]) -> None:
    reader, writer = pipe
    reader.close()
    calls: list[None] = []
    with observing(form, writer, lambda: calls.append(None)) as observe:
        observe(Stopped(0, 0, 0.0))
    assert calls == []


def test_a_reader_that_is_gone_when_the_console_comes_down(pipe: tuple[IO[bytes], IO[str]]) -> None:
    reader, writer = pipe
    reader.close()
    with observing("rich", writer):
        pass
    writer.write("into nowhere")
    writer.flush()


def test_a_closed_output_is_told_once_also_where_it_cannot_be_diverted() -> None:
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
    ("form", "a_batch", "missing", "end"),
    [
        ("plain", " INFO batch_refreshed ", r" left_out lines=(\d+)", " INFO stopped .* p50_ms=13.0 "),
        ("rich", "/526641  ", r"^([\d ]+) lines left out", "^stopped: .* fresh p50 13 ms"),
    ],
)
def test_an_output_that_is_held_up_does_not_hold_up_the_worker(
    form: LogFormat, a_batch: str, missing: str, end: str, pipe: tuple[IO[bytes], IO[str]]
) -> None:
    reader, writer = pipe
    many = 5 * KEPT
    read: list[bytes] = []
    taking = threading.Thread(target=lambda: read.append(reader.read()))

    with observing(form, writer) as observe:

        def work() -> None:
            for _ in range(many):
                observe(batch(pair()))
            observe(Stopped(many, many, 1.0))

        worker = threading.Thread(target=work)
        worker.start()
        worker.join(PATIENCE)
        held_up = worker.is_alive()
        # From here on somebody reads, else leaving the context would wait for ever.
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is full")
def test_a_full_disk_costs_lines_and_nothing_else() -> None:
    calls: list[None] = []
    full = open("/dev/full", "w")  # noqa: PTH123, SIM115
    with observing("plain", full, lambda: calls.append(None)) as observe:
        observe(Listening())
    full.close()  # does not fail once more with what the disk did not take
    assert calls == []


def test_after_an_error_that_passes_writing_goes_on() -> None:
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


def test_every_line_is_flushed_as_it_comes(pipe: tuple[IO[bytes], IO[str]]) -> None:
    reader, writer = pipe
    with observing("plain", writer) as observe:
        observe(Listening())
        assert reader.readline().endswith(b" INFO listening\n")
        observe(Swept(0))
        observe(Swept(2))
        assert reader.readline().endswith(b" INFO swept found=2\n")


def test_a_name_that_the_encoding_does_not_have_is_spelled_out() -> None:
    raw = io.BytesIO()
    name = "Zürich"
    with observing("plain", io.TextIOWrapper(raw, encoding="ascii")) as observe:
        observe(batch(pair(data_pass=name)))
    assert rb'"Z\xfcrich/526641 (flag) good 92.1 \u2192 88.4 %"' in raw.getvalue()

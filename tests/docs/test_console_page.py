"""Compare ``docs/console.md`` and the picture of the console with what the code shows."""

import re
from html import unescape
from pathlib import Path

import pytest

from gaq_listen.observers.event_log import EventLog
from gaq_listen.observers.line_formats import PLAIN
from gaq_listen.observers.worker_state import STATES, WorkerState
from gaq_listen.worker.events import BacklogCounted, Listening, Swept
from tests.observers.example_events import AT, batch, pair

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "console.md").read_text(encoding="utf-8")
PICTURE = unescape((DOCS / "console.svg").read_text(encoding="utf-8")).replace("\xa0", " ")


@pytest.mark.parametrize("state", STATES)
def test_the_page_explains_each_state(state: str) -> None:
    table = PAGE[: PAGE.index("## Log lines")]
    assert f"`{state}`" in table


def test_the_lines_of_the_page_are_those_of_the_code() -> None:
    log = EventLog(PLAIN, 1.0, 0.0)
    log.line(Listening(), 0.0, AT)
    refreshed = log.line(batch(pair()), 1.0, AT)
    log.line(Swept(0), 48.0, AT)
    heartbeat = log.line(BacklogCounted(0), 60.0, AT)
    for line in (refreshed, heartbeat):
        assert line is not None
        _, _, without_time = line.partition(" ")
        assert f" {without_time}\n" in PAGE


def test_the_picture_shows_the_present_words() -> None:
    state = WorkerState(0.0, objective=1.0)
    state.apply(Listening(), 0.0)
    words = re.sub(r"\s+", " ", " ".join(re.findall(r">([^<>]+)</text>", PICTURE)))
    for text in (*state.summary(0.0), "pairs/s", "fresh in p50", "last batch", "no pair fails", "times in UTC"):
        assert text in words

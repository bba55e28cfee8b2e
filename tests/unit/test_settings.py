"""Check how settings are parsed and which are refused."""

from typing import Any

import pytest

from gaq_listen.errors import BadSetting
from gaq_listen.settings import WorkerSettings, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250ms", 0.25),
        ("30s", 30),
        ("5m", 300),
        ("1h", 3600),
        ("2", 2),
        (" 1.5 s ", 1.5),
        (".5s", 0.5),
    ],
)
def test_durations_are_parsed(text: str, expected: float) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["250ms", "1ms", "1s", "90s", "5m", "36h", "7d", "0s"])
def test_a_duration_is_written_as_it_was_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize("text", ["", "abc", "-1s", "5 parsecs", "1s2", "ms", "nan", "1e3s"])
def test_a_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="250ms, 30s, 5m, 1h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"debounce": -0.1}, "--debounce"),
        ({"debounce": 2.0, "max_wait": 1.0}, "--max-wait .* shorter than --debounce"),
        ({"min_batch": 0}, "--min-batch"),
        ({"min_batch": 50, "max_batch": 20}, "--max-batch .* smaller than --min-batch"),
        ({"max_batch": 1_000_000}, "--max-batch"),
        ({"sweep": 0.0}, "--sweep"),
        ({"audit_rate": -1}, "--audit-rate"),
        ({"audit_rate": 60, "once": True}, "--audit-rate .* gaq-listen verify"),
        ({"batch_timeout": 0.0}, "--batch-timeout"),
    ],
)
def test_contradictory_settings_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        WorkerSettings(**given)

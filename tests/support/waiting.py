"""Wait for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

PATIENCE = 45.0
"""Seconds after which ``until`` gives up. Also a busy machine reaches an expected state sooner."""


def until(
    condition: Callable[[], Value], what: str = "the condition holds", patience: float = PATIENCE, every: float = 0.01
) -> Value:
    """Call ``condition`` every ``every`` seconds until its result is true, and return that result.

    Raises:
        AssertionError: ``condition`` was not true within ``patience`` seconds. The message names ``what``.
    """
    end = time.monotonic() + patience
    while not (outcome := condition()):
        assert time.monotonic() < end, f"not within {patience:g} s: {what}"
        time.sleep(every)
    return outcome

"""Waiting for states, never for time."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

PATIENCE = 45.0
"""Seconds after which a state that should come soon counts as not coming, also on a machine that is busy."""


def until(condition: Callable[[], Value], what: str, patience: float = PATIENCE, every: float = 0.01) -> Value:
    """Waits until something is so; returns what the condition returned.

    Raises:
        AssertionError: it did not come true; the message says ``what``.
    """
    end = time.monotonic() + patience
    while not (outcome := condition()):
        assert time.monotonic() < end, f"not within {patience:g} s: {what}"
        time.sleep(every)
    return outcome

"""Turn the values of dataclasses into values that JSON has."""

from datetime import datetime
from typing import Any


def plain(value: Any) -> Any:
    """Return a value, and everything in it, with times as texts in ISO 8601 and with tuples as lists."""
    match value:
        case datetime():
            return value.isoformat()
        case dict():
            return {name: plain(each) for name, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
    return value

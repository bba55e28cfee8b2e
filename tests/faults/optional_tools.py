"""Tools that a fault needs and that not every machine has."""

from collections.abc import Callable
from typing import Generic, TypeVar

import pytest

Tool = TypeVar("Tool")


class OptionalTool(Generic[Tool]):
    """A tool that is made once, or the reason why this machine does not have it."""

    def __init__(self, make: Callable[[], Tool]) -> None:
        """Make the tool. If ``make`` skips the test, keep the reason."""
        self._tool: list[Tool] = []
        self._reason = ""
        try:
            self._tool.append(make())
        except pytest.skip.Exception as missing:
            self._reason = str(missing)

    @property
    def available(self) -> bool:
        """Return whether this machine has the tool."""
        return bool(self._tool)

    def require(self) -> Tool:
        """Return the tool.

        Raises:
            pytest.skip.Exception: this machine does not have the tool. The message has the reason.
        """
        if not self._tool:
            pytest.skip(self._reason)
        return self._tool[0]

"""What a mishap takes that not every machine has."""

from collections.abc import Callable
from typing import Generic, TypeVar

import pytest

Thing = TypeVar("Thing")


class Means(Generic[Thing]):
    """Made once; where it cannot be had, the reason is kept, and whoever wants it is told."""

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._made: list[Thing] = []
        self._why = ""
        try:
            self._made.append(make())
        except pytest.skip.Exception as lacking:
            self._why = str(lacking)

    @property
    def had(self) -> bool:
        """Whether it is there."""
        return bool(self._made)

    def __call__(self) -> Thing:
        """The thing itself.

        Raises:
            pytest.skip.Exception: there is none, and why.
        """
        if not self._made:
            pytest.skip(self._why)
        return self._made[0]

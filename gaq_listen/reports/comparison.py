"""A condition on a fraction, as people write it: ``<0.9``, ``>=0.5``, ``=1``. Pure."""

import re
from dataclasses import dataclass

_WRITTEN = re.compile(r"\s*(<=|>=|<|>|=)\s*(\d+(?:\.\d*)?|\.\d+)\s*")
_EXACT = 1e-9
"""Fractions that differ by less than this are equal: summaries are no more exact."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares a fraction with a limit, both from 0 to 1."""

    operator: str
    limit: float

    @classmethod
    def read(cls, text: str) -> "Comparison":
        """Read a comparison.

        Raises:
            ValueError: the text is none; the message says how to write one.
        """
        found = _WRITTEN.fullmatch(text)
        if found is None or not 0 <= float(found[2]) <= 1:
            raise ValueError(
                f"{text!r} is no comparison: write <, <=, =, >= or > and a fraction from 0 to 1, as in '<0.9'"
            )
        return cls(found[1], float(found[2]))

    def holds(self, fraction: float | None) -> bool:
        """Whether it holds for the fraction; it never holds for None."""
        if fraction is None:
            return False
        equal = abs(fraction - self.limit) < _EXACT
        if self.operator == "=":
            return equal
        if equal:
            return self.operator in ("<=", ">=")
        return (fraction < self.limit) == self.operator.startswith("<")

"""Conditions on a fraction of a run, written as the runs page of ALICE's Bookkeeping writes them. Pure."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from gaq_listen.errors import BadSetting

SAME = 1e-9
"""Fractions that differ by less than this count as equal: a sum of two of them is not exact."""

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*(<=|>=|<|=|>)\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A condition on a fraction: one of ``<``, ``<=``, ``=``, ``>=``, ``>``, and a limit from 0 to 1."""

    operator: str
    limit: float

    def __str__(self) -> str:
        return f"{self.operator}{self.limit:.12g}"

    def holds(self, fraction: float) -> bool:
        """Compare a fraction with the limit. Fractions within ``SAME`` of the limit are equal to it."""
        near = self.limit if math.isclose(fraction, self.limit, rel_tol=0.0, abs_tol=SAME) else fraction
        return _OPERATORS[self.operator](near, self.limit)


def comparison(text: str) -> Comparison:
    """Read a condition such as ``>=0.95``, or ``>=95%``.

    >>> comparison(">= 95 %")
    Comparison(operator='>=', limit=0.95)

    Raises:
        BadSetting: the text is no condition, or its limit is not from 0 to 1.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise BadSetting(f"{text!r} is not a condition: write '>=0.95', with one of {' '.join(_OPERATORS)}, in quotes")
    limit = float(match[2]) / (100 if match[3] else 1)
    if limit > 1:
        raise BadSetting(f"{text!r} has a limit above 1: write '{match[1]}0.95' or '{match[1]}95%'")
    return Comparison(match[1], limit)

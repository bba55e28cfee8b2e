"""Read and apply conditions on a fraction of a run, in the notation of the runs page of ALICE's Bookkeeping."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from gaq_listen.errors import BadSetting
from gaq_listen.reports.summary_values import SAME_COVERAGE

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_CONDITION = re.compile(r"\s*(<=|>=|<|=|>)\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """Compare a fraction by one of ``<``, ``<=``, ``=``, ``>=`` and ``>`` with a limit from 0 to 1."""

    operator: str
    limit: float

    def __str__(self) -> str:
        return f"{self.operator}{self.limit:.12g}"

    def holds(self, fraction: float) -> bool:
        """Return whether a fraction meets the condition. Rounding errors of a fraction do not count."""
        same = math.isclose(fraction, self.limit, rel_tol=0.0, abs_tol=SAME_COVERAGE)
        return _OPERATORS[self.operator](self.limit if same else fraction, self.limit)


def parse_condition(text: str) -> Condition:
    """Read a condition such as ``>=0.95``, or ``>=95%``.

    >>> parse_condition(">= 95 %")
    Condition(operator='>=', limit=0.95)

    Raises:
        BadSetting: the text is no condition, or its limit is not from 0 to 1.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise BadSetting(f"{text!r} is not a condition: write '>=0.95', with one of {' '.join(_OPERATORS)}, in quotes")
    limit = float(match[2]) / (100 if match[3] else 1)
    if limit > 1:
        raise BadSetting(f"{text!r} has a limit above 1: write '{match[1]}0.95' or '{match[1]}95%'")
    return Condition(match[1], limit)

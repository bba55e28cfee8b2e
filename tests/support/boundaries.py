"""Cases of what the Bookkeeping does with flags when the QC time of a run moves.

The cases test the Bookkeeping's trigger on MariaDB, and our port of it. Times are hours after midnight. At first, the
run lasts from 0 to 10. MariaDB gave the expected values, and tests/migration compares them with MariaDB again.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

Bounds: TypeAlias = tuple[float | None, float | None]
"""From and to. None: the bound of the run."""


class Case(NamedTuple):
    """A flag with its effective periods, the QC times that the run gets in turn, and the expected flag afterwards."""

    name: str
    flag: Bounds
    periods: tuple[Bounds, ...]
    windows: tuple[Bounds, ...]
    flag_after: Bounds
    deleted: bool
    periods_after: tuple[Bounds, ...]
    was_deleted: bool = False


CASES = (
    Case("nothing moves", (2, 8), ((2, 8),), ((0, 10),), (2, 8), False, ((2, 8),)),
    Case("inside", (2, 8), ((2, 8),), ((1, 9),), (2, 8), False, ((2, 8),)),
    Case("start passes", (2, 8), ((2, 8),), ((3, 10),), (None, 8), False, ((None, 8),)),
    Case("start reaches", (2, 8), ((2, 8),), ((2, 10),), (None, 8), False, ((None, 8),)),
    Case("end passes", (2, 8), ((2, 8),), ((0, 7),), (2, None), False, ((2, None),)),
    Case("end reaches", (2, 8), ((2, 8),), ((0, 8),), (2, None), False, ((2, None),)),
    Case("shrinks and grows again", (0, 8), ((0, 8),), ((0, 7), (0, 10)), (0, None), False, ((0, None),)),
    Case("both pass", (2, 8), ((2, 8),), ((3, 7),), (None, None), False, ((None, None),)),
    Case("window after the flag", (2, 4), ((2, 4),), ((5, 10),), (None, 4), True, ()),
    Case("window ends before the flag", (6, 8), ((6, 8),), ((0, 5),), (6, None), True, ()),
    Case("window begins where the flag ends", (2, 4), ((2, 4),), ((4, 10),), (None, 4), True, ()),
    Case("window ends where the flag begins", (6, 8), ((6, 8),), ((0, 6),), (6, None), True, ()),
    Case("a period outside, its flag not", (2, 8), ((2, 3), (5, 8)), ((4, 10),), (None, 8), False, ((5, 8),)),
    Case("periods of which one is passed", (2, 8), ((2, 5), (6, 8)), ((0, 7),), (2, None), False, ((2, 5), (6, None))),
    Case("without periods", (2, 8), (), ((3, 7),), (2, 8), False, ()),
    Case("without periods, outside", (2, 4), (), ((5, 10),), (2, 4), True, ()),
    Case("only the flag's bound is passed", (2, 8), ((4, 6),), ((3, 7),), (2, 8), False, ((4, 6),)),
    Case("bounds of the run", (None, None), ((None, None),), ((3, 7),), (None, None), False, ((None, None),)),
    Case("the start becomes unknown", (2, 8), ((2, 8),), ((None, 10),), (2, 8), False, ((2, 8),)),
    Case("the start was unknown", (2, 8), ((2, 8),), ((None, 10), (3, 10)), (2, 8), False, ((2, 8),)),
    Case("unknown start, moved end", (2, 8), ((2, 8),), ((None, 10), (None, 7)), (2, None), False, ((2, None),)),
    Case("a deleted flag", (2, 8), ((2, 8),), ((3, 10),), (None, 8), True, ((None, 8),), was_deleted=True),
)

"""What a check finds."""

import re
from dataclasses import dataclass
from typing import Literal

_COMMAND = r"(?:gaq-listen [a-z]+|[A-Z]{4,} [^;]+)"
_COMMANDS = re.compile(rf"{_COMMAND}(?:; then {_COMMAND})*;?(?: -- .*)?")


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to fix, as sentences for a DBA. Names in them stand as SQL writes them."""

    what: str
    why: str
    """What follows from it."""
    fix: str
    """The command or the SQL that puts it right."""
    level: Literal["error", "warning", "note"] = "error"
    """Error: summaries may be wrong, or somebody fails. Warning: slower, or less guarded, than it should be. Note: good
    to know, and maybe meant so."""

    @property
    def is_fix(self) -> bool:
        """Whether ``fix`` is one or several commands that can be given as they stand; else it is advice."""
        return _COMMANDS.fullmatch(self.fix) is not None


INSTALL = "gaq-listen install"
REPAIR = "UPDATE gaq_summaries SET invalidated_at = now(); -- recomputes all"
"""Marks everything, after changes that nothing marked."""


FEW = 3
"""Findings of one kind that are told one by one; more of them are one finding."""


def listed(names: list[str], most: int = 5) -> str:
    """Some names: ``a, b and 12 more``."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"

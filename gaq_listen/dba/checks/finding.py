"""Define the result of a check, for the doctor and for the plan of an installation."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

_COMMAND = r"(?:gaq-listen [a-z]+|[A-Z]{4,} [^;]+)"
_COMMANDS = re.compile(rf"{_COMMAND}(?:; then {_COMMAND})*;?(?: -- .*)?")

Level: TypeAlias = Literal["obstacle", "error", "warning", "note"]
"""How bad a finding is.

- obstacle: ``gaq-listen install`` refuses to start.
- error: summaries may be wrong, or a command or a writer fails.
- warning: something is slower or less protected than it should be.
- note: the reader should know it, and it may be intended.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact that a DBA should know, as sentences. They write names as SQL does."""

    what: str
    why: str
    """The consequence."""
    fix: str
    """The command or the SQL that fixes the cause, or advice if no command can."""
    level: Level = "error"

    @property
    def is_fix(self) -> bool:
        """Whether ``fix`` consists of commands that the DBA can run unchanged. Otherwise it is advice."""
        return _COMMANDS.fullmatch(self.fix) is not None


INSTALL = "gaq-listen install"
REPAIR = "UPDATE gaq_summaries SET invalidated_at = now(); -- recomputes all"
"""Marks every pair, after changes that no trigger saw."""

MAX_SINGLE = 3
"""Findings of one kind that a check reports one by one. It reports more of them as one finding."""

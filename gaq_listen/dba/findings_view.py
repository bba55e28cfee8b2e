"""Show findings as text for a terminal of 80 columns. Pure."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import get_args

from gaq_listen.dba.checks.finding import Finding, Level
from gaq_listen.wording import count, sanitize

WIDTH = 80
"""Columns of the text. A longer word exceeds them."""


def paragraphs(findings: Iterable[Finding]) -> list[str]:
    """Return one numbered paragraph for each finding, with its consequence and its fix or advice."""
    return [
        "\n".join(
            (
                *wrapped(finding.what, f"{number}. {finding.level}: ", "   "),
                *wrapped(finding.why, "   why:  "),
                *wrapped(finding.fix, "   fix:  " if finding.is_fix else "   do:   "),
            )
        )
        for number, finding in enumerate(findings, 1)
    ]


def render(findings: Sequence[Finding], checks: Sequence[str] = ()) -> str:
    """Return all findings and their number by level. Without a finding, return the names of the ``checks``."""
    if not findings:
        return "\n".join(wrapped(f"{count(len(checks), 'check')}: {', '.join(checks)}", "nothing found by ", "  "))
    levels = Counter(finding.level for finding in findings)
    counts = ", ".join(count(levels[level], level) for level in get_args(Level) if levels[level])
    return "\n\n".join([*paragraphs(findings), f"found {counts}"])


def wrapped(text: str, label: str = "", indent: str | None = None) -> list[str]:
    """Return the text in lines of at most ``WIDTH`` columns.

    Each word is made safe for a terminal, so a name cannot act on it nor end a line.

    Args:
        text: Text that may contain names from the database.
        label: Beginning of the first line.
        indent: Beginning of the other lines; None: as many blanks as ``label`` has characters.
    """
    safe = " ".join(sanitize(word) for word in text.split(" "))
    return textwrap.wrap(
        safe,
        WIDTH,
        initial_indent=label,
        subsequent_indent=" " * len(label) if indent is None else indent,
        break_long_words=False,
        break_on_hyphens=False,
    )

"""Findings as text for a terminal. Pure."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from gaq_listen.dba.checks.finding import Finding
from gaq_listen.dba.doctor import CHECKS
from gaq_listen.wording import count, sanitize

WIDTH = 80
"""Columns that the text keeps to, where words let it."""


def render(findings: Sequence[Finding]) -> str:
    """All findings, each with why it matters and its fix or advice; or what was looked at, when there is none."""
    if not findings:
        return _wrapped("nothing found: ", f"looked at {count(len(CHECKS), 'thing')}: {', '.join(CHECKS)}", "  ")
    paragraphs = [_paragraph(number, finding) for number, finding in enumerate(findings, 1)]
    levels = Counter(finding.level for finding in findings)
    counts = ", ".join(count(levels[level], level) for level in ("error", "warning", "note") if levels[level])
    return "\n\n".join([*paragraphs, f"found {counts}"])


def _paragraph(number: int, finding: Finding) -> str:
    return "\n".join(
        (
            _wrapped(f"{number}. {finding.level}: ", finding.what, "   "),
            _wrapped("   why:  ", finding.why),
            _wrapped("   fix:  " if finding.is_fix else "   do:   ", finding.fix),
        )
    )


def _wrapped(label: str, text: str, indent: str | None = None) -> str:
    # Word by word: what is in a name must neither act on the terminal nor be taken for a line's end.
    safe = " ".join(sanitize(word) for word in text.split(" "))
    return textwrap.fill(
        safe,
        WIDTH,
        initial_indent=label,
        subsequent_indent=" " * len(label) if indent is None else indent,
        break_long_words=False,
        break_on_hyphens=False,
    )

"""The SQL files: plain SQL, carried by the wheel, readable and applicable by hand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gaq_listen.errors import UnknownName

LOCK_TIMEOUT = 3.0
"""Seconds that a step may hold up the writers of a table while it waits for its lock."""

ATTEMPTS = 20
"""How often a step that does not get its lock is tried, before the installation gives up."""

SESSION = "session"
"""The script with the settings of a session that applies scripts."""

INSTALL_SCRIPTS = (
    "04_schema",
    "05_roles",
    "06_owner",
    "07_version_02",
    "07_version_03",
    "07_version_04",
    "07_version_05",
    "08_missed",
    "10_marks",
    "15_marking",
    "20_sources",
    "22_marking",
    "25_expansion",
    "27_locks",
    "30_compute",
    "35_failures",
    "36_changes",
    "38_due",
    "40_refresh",
    "45_drain",
    "50_read",
    "52_gaq_summaries",
    "55_operating",
    "60_status",
    "61_data_passes",
    "62_explain",
    "63_periods",
    "64_live",
    "65_objects",
    "66_detectors",
    "67_bindings",
    "70_grants",
    "72_former",
    "75_comments",
    "80_installed",
)
"""Names of the scripts that make an installation, in the order in which they are applied. Other sources than those of
the reference have another script in the place of ``20_sources``; see ``sources.py``."""

PHRASES = {
    "04_schema": "check that the schema of the source tables is the one that is installed",
    "05_roles": "create the roles, unless they are there",
    "06_owner": "create schema gaq, and give all that is in it to gaq_owner",
    "07_version_02": "bring version 1 to version 2, if that is what is installed",
    "07_version_03": "bring version 2 to version 3, if that is what is installed",
    "07_version_04": "bring version 3 to version 4, if that is what is installed",
    "07_version_05": "bring version 4 to version 5, if that is what is installed",
    "08_missed": "mark everything, if changes were missed",
    "10_marks": "create the tables of summaries and marks, and the doorbell",
    "15_marking": "create what every sources file uses",
    "20_sources": "bind views and functions to the source tables",
    "22_marking": "create the functions that the triggers call",
    "25_expansion": "create what looks up the pairs that a mark stands for",
    "27_locks": "create what locks the source tables for a refresh",
    "30_compute": "create the computation of a summary",
    "35_failures": "create what isolates a pair that cannot be computed",
    "36_changes": "create the record of changed values",
    "38_due": "create what tells when a pair is due",
    "40_refresh": "create the refresh",
    "45_drain": "create the refresh without a worker",
    "50_read": "create what gaq_summaries is made of",
    "52_gaq_summaries": "create the view gaq_summaries, with its grants",
    "55_operating": "create what operators and workers call",
    "60_status": "create what a monitor asks",
    "61_data_passes": "create the totals of data passes",
    "62_explain": "create what explains a summary",
    "63_periods": "create the elementary periods",
    "64_live": "create the summaries that are never stale",
    "65_objects": "create the record of what is installed",
    "66_detectors": "create the qualities of detectors",
    "67_bindings": "create the record of what is bound to the source tables",
    "70_grants": "grant rights to gaq_reader and gaq_worker",
    "72_former": "drop triggers on tables that are no source tables any more",
    "75_comments": "describe what readers, monitors and workers may use",
    "80_installed": "mark what was missed, and record what is installed",
}
"""What each of them does, for a plan."""


def directory() -> Path:
    """Where the SQL files lie: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "sql"
    return inside if inside.is_dir() else package.parent / "sql"


def names() -> list[str]:
    """Return the names of all scripts in alphabetic order: of SQL without an ending, of other files with it."""
    other = [path.name for path in directory().glob("*.load")]
    return sorted([path.stem for path in directory().glob("*.sql")] + other)


@cache
def script(name: str) -> str:
    """The text of a script.

    A leading number may be left out: ``refresh`` is ``40_refresh``.

    Raises:
        UnknownName: there is no such script; the message names those that there are.
    """
    wanted = name.removesuffix(".sql")
    for known in names():
        if wanted in (known, known.partition("_")[2] if known[:1].isdigit() else known):
            return (directory() / (known if known.endswith(".load") else f"{known}.sql")).read_text(encoding="utf-8")
    raise UnknownName(f"no script is called {name!r}; there are: {', '.join(names())}")


def for_psql(text: str) -> str:
    """Return a SQL script as psql applies it alone: after the settings that its session needs."""
    return f"{script(SESSION)}\n{text}"


def printed(name: str) -> str:
    """Return a script as ``gaq-listen sql`` prints it.

    Raises:
        UnknownName: there is no such script.
    """
    text = script(name)
    return text if name.endswith(".load") or text == script(SESSION) else for_psql(text)


@dataclass(frozen=True, slots=True)
class Step:
    """What is applied as one transaction: a script, or the part of one that locks one table."""

    title: str
    text: str


def steps(name: str) -> Iterator[Step]:
    """The transactions of a script of ours."""
    return divided(name, script(name))


def divided(name: str, text: str) -> Iterator[Step]:
    """The transactions of a script: it is divided at lines such as ``-- [transaction] triggers on runs``."""
    first, *others = re.split(r"^-- \[transaction\] (.+)\n", text, flags=re.MULTILINE)
    yield Step(f"{name}.sql", first)
    for title, part in zip(others[::2], others[1::2], strict=True):
        yield Step(f"{name}.sql: {title}", part)

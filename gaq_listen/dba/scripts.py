"""Read the SQL files of an installation, and divide them into transactions. The wheel contains the files."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gaq_listen.errors import UnknownName

LOCK_TIMEOUT = 3.0
"""Seconds that a step waits for its lock, and that writers of the table wait behind it."""

ATTEMPTS = 20
"""Number of attempts of a step to get its lock, before the installation gives up."""

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
    "12_wide_marks",
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
    "51_adoption",
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
"""Names of the scripts of an installation, in the order of their application.

Other sources than the reference replace ``20_sources`` by another script, as ``sources.py`` does.
"""

PHRASES = {
    "04_schema": "check that the schema of the source tables is the one that is installed",
    "05_roles": "create the roles, unless they are there",
    "06_owner": "create schema gaq, and give all its objects to gaq_owner",
    "07_version_02": "upgrade version 1 to version 2, if it is installed",
    "07_version_03": "upgrade version 2 to version 3, if it is installed",
    "07_version_04": "upgrade version 3 to version 4, if it is installed",
    "07_version_05": "upgrade version 4 to version 5, if it is installed",
    "08_missed": "mark everything, if triggers have missed changes",
    "10_marks": "create the tables of summaries and marks, and the doorbell",
    "12_wide_marks": "create the functions by which readers look for wide marks",
    "15_marking": "create the functions that every sources file uses",
    "20_sources": "bind views and functions to the source tables",
    "22_marking": "create the functions that the triggers call",
    "25_expansion": "create the expansion of wide marks into marks of pairs",
    "27_locks": "create the function that locks the source tables for a refresh",
    "30_compute": "create the computation of a summary",
    "35_failures": "create the isolation of pairs that cannot be computed",
    "36_changes": "create the record of changed values",
    "38_due": "create the functions that say when a pair is due",
    "40_refresh": "create the refresh",
    "45_drain": "create the refresh without a worker",
    "50_read": "create the views and functions behind gaq_summaries",
    "51_adoption": "create the functions that adopt an application's gaq_summaries",
    "52_gaq_summaries": "create the view gaq_summaries, with its grants",
    "55_operating": "create the functions that operators and workers call",
    "60_status": "create the views of the status, for monitors",
    "61_data_passes": "create the totals of data passes",
    "62_explain": "create the functions that explain a summary",
    "63_periods": "create the elementary periods",
    "64_live": "create the summaries that are never stale",
    "65_objects": "create the record of installed objects",
    "66_detectors": "create the qualities of detectors",
    "67_bindings": "create the record of bindings to the source tables",
    "70_grants": "grant rights to gaq_reader and gaq_worker",
    "72_former": "drop triggers on tables that are no source tables any more",
    "75_comments": "comment the objects that readers, monitors and workers may use",
    "80_installed": "mark pairs without a summary, and record the installation",
}
"""What each script does, as the plan of an installation says it."""


def directory() -> Path:
    """Return the directory of the SQL files: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "sql"
    return inside if inside.is_dir() else package.parent / "sql"


def names() -> list[str]:
    """Return the names of all scripts in alphabetic order. Only files that are not SQL have an ending."""
    other = [path.name for path in directory().glob("*.load")]
    return sorted([path.stem for path in directory().glob("*.sql")] + other)


@cache
def script(name: str) -> str:
    """Return the text of a script. The name may lack the leading number: ``refresh`` is ``40_refresh``.

    Raises:
        UnknownName: No script has this name. The message lists the names.
    """
    wanted = name.removesuffix(".sql")
    for known in names():
        if wanted in (known, known.partition("_")[2] if known[:1].isdigit() else known):
            return (directory() / (known if known.endswith(".load") else f"{known}.sql")).read_text(encoding="utf-8")
    raise UnknownName(f"no script is called {name!r}; the scripts are: {', '.join(names())}")


def for_psql(text: str) -> str:
    """Return a SQL script for psql, with the settings that its session needs at the beginning."""
    return f"{script(SESSION)}\n{text}"


def printed(name: str) -> str:
    """Return a script as ``gaq-listen sql`` prints it.

    Raises:
        UnknownName: No script has this name.
    """
    text = script(name)
    return text if name.endswith(".load") or text == script(SESSION) else for_psql(text)


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction of an installation: a script, or the part of a script that locks one table."""

    title: str
    text: str


def steps(name: str) -> Iterator[Step]:
    """Yield the transactions of the script with this name."""
    return divided(name, script(name))


def divided(name: str, text: str) -> Iterator[Step]:
    """Yield the transactions of a script. Lines such as ``-- [transaction] triggers on runs`` divide the text."""
    first, *others = re.split(r"^-- \[transaction\] (.+)\n", text, flags=re.MULTILINE)
    yield Step(f"{name}.sql", first)
    for title, part in zip(others[::2], others[1::2], strict=True):
        yield Step(f"{name}.sql: {title}", part)

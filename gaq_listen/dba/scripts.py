"""The SQL files: plain SQL, carried by the wheel, readable and applicable by hand."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gaq_listen.errors import UnknownName

VERSION = 4
"""The version of what these scripts install, as ``gaq.installation`` records it."""

INSTALL_SCRIPTS = (
    "04_schema",
    "05_roles",
    "06_upgrade",
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
    "80_installed",
)
"""Names of the scripts that make an installation, in the order in which they are applied. Other sources than those of
the reference have another script in the place of ``20_sources``; see ``sources.py``."""


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

"""The SQL files: plain SQL, carried by the wheel, readable and applicable by hand."""

from functools import cache
from pathlib import Path

from gaq_listen.errors import UnknownName

INSTALL_SCRIPTS = (
    "10_marks",
    "20_sources",
    "30_compute",
    "40_refresh",
    "50_read",
    "60_status",
)
"""Names of the scripts that make an installation, in the order in which they are applied."""


def directory() -> Path:
    """Where the SQL files lie: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "sql"
    return inside if inside.is_dir() else package.parent / "sql"


def names() -> list[str]:
    """The name of every script, without its ending, in the order of the alphabet."""
    return sorted(path.stem for path in directory().glob("*.sql"))


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
            return (directory() / f"{known}.sql").read_text(encoding="utf-8")
    raise UnknownName(f"no script is called {name!r}; there are: {', '.join(names())}")

"""Parse what a sources file names: source tables, views, columns, types and triggers. Needs no server."""

import re
from dataclasses import dataclass
from functools import cache

from gaq_listen.dba.sources import Sources

ROLES = ["gaq_owner", "gaq_worker", "gaq_reader"]
"""The roles that an installation creates."""

_TRIGGER = re.compile(r"^-- \[trigger\] (\w+)\.(\w+): (\w+)$", flags=re.MULTILINE)
_GENERATED = re.compile(r"^-- \[generated\] (\w+)\.(\w+): (.+)$", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class GeneratedColumn:
    """A column of a source table that other programs may expect to be generated, and its expression.

    gaq-listen does not read the column.
    """

    table: str
    column: str
    expression: str


@dataclass(frozen=True, slots=True)
class ApplicationTrigger:
    """A trigger of the application that a move from another database may lose, and our script that creates it."""

    table: str
    name: str
    script: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a sources file names."""

    marked: tuple[str, ...]
    """Tables that get triggers."""
    read: tuple[str, ...]
    """Other tables that the views read."""
    views: dict[str, str]
    """The queries of the views that read only source tables, by name."""
    words: list[str]
    """Every word of the file that may be the name of a column."""
    generated: tuple[GeneratedColumn, ...]
    """Columns in lines that begin with ``-- [generated]``."""
    types: str
    """A line "table.column: kind" for each column that needs a type of that kind."""
    triggers: tuple[ApplicationTrigger, ...]
    """Triggers in lines that begin with ``-- [trigger]``."""


@cache
def manifest_of(sources: Sources) -> Manifest:
    """Parse a sources file. Calls of gaq.utc are removed from the views, because the function may not exist yet."""
    code = re.sub(r"\bgaq\.utc\(", "(", code_of(sources.text))
    marked = tuple(dict.fromkeys(triggered_tables(code)))
    granted = [
        _name(word) for names in re.findall(r"grant select on (.+?)\s+to ", code, re.S) for word in names.split(",")
    ]
    generated = tuple(GeneratedColumn(*found) for found in _GENERATED.findall(sources.text))
    views = re.findall(r"create or replace view (\S+) as\s(.+?);", code, re.S)
    return Manifest(
        marked,
        tuple(name for name in granted if name not in marked),
        {view: body for view, body in views if "gaq." not in body},
        sorted({*re.findall(r"\w+", code)} - {column.column for column in generated}),
        generated,
        "\n".join(re.findall(r"gaq\.require_types\('([^']*)'\)", code)),
        tuple(ApplicationTrigger(*found) for found in _TRIGGER.findall(sources.text)),
    )


def code_of(text: str) -> str:
    """Return SQL without its comments."""
    return re.sub(r"--[^\n]*", "", text)


def triggered_tables(code: str) -> list[str]:
    """Return the table of each ``create trigger`` statement. A table with several triggers is in the list as often."""
    return [_name(table) for table in re.findall(r"create or replace trigger \S+ after \w+ on (\S+)", code)]


def _name(text: str) -> str:
    """Return a name without quotes, or in lower case if SQL writes it without quotes."""
    text = text.strip()
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()

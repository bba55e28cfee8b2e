"""What the scripts say that they want and make: parsed from their text, without a server."""

import re
from dataclasses import dataclass
from functools import cache

from gaq_listen.dba.plan_text import PlannedStep
from gaq_listen.dba.scripts import PHRASES
from gaq_listen.dba.sources import Sources

ROLES = ["gaq_owner", "gaq_worker", "gaq_reader"]


_TRIGGER = re.compile(r"^-- \[trigger\] (\w+)\.(\w+): (\w+)$", flags=re.MULTILINE)
_GENERATED = re.compile(r"^-- \[generated\] (\w+)\.(\w+): (.+)$", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Generated:
    """A column that others may expect to be generated, of a source table, and what of. We do not read it."""

    table: str
    column: str
    expression: str


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of the application that a move loses, the table that should have it, and our script that creates it."""

    table: str
    name: str
    script: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a sources file names: tables that get triggers, other tables, views of these alone, every word that
    may be a column, which columns it says are generated, and which kind of type columns need, a line each; and
    which triggers are the application's."""

    marked: tuple[str, ...]
    read: tuple[str, ...]
    views: dict[str, str]
    words: list[str]
    generated: tuple[Generated, ...]
    types: str
    triggers: tuple[Trigger, ...]


@cache
def wanted(sources: Sources) -> Wanted:
    """From the file as it is, adapted or not. What the views call of ours is left out of them: it is not there yet."""
    code = re.sub(r"\bgaq\.utc\(", "(", _code(sources.text))
    marked = tuple(dict.fromkeys(_triggers(code)))
    granted = [
        _name(word) for names in re.findall(r"grant select on (.+?)\s+to ", code, re.S) for word in names.split(",")
    ]
    generated = tuple(Generated(*found) for found in _GENERATED.findall(sources.text))
    views = re.findall(r"create or replace view (\S+) as\s(.+?);", code, re.S)
    return Wanted(
        marked,
        tuple(name for name in granted if name not in marked),
        {view: body for view, body in views if "gaq." not in body},
        sorted({*re.findall(r"\w+", code)} - {column.column for column in generated}),
        generated,
        "\n".join(re.findall(r"gaq\.require_types\('([^']*)'\)", code)),
        tuple(Trigger(*found) for found in _TRIGGER.findall(sources.text)),
    )


def _code(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)


def _triggers(code: str) -> list[str]:
    """The table of each trigger that marks."""
    return [_name(table) for table in re.findall(r"create or replace trigger \S+ after \w+ on (\S+)", code)]


def _name(text: str) -> str:
    text = text.strip()
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()


def planned_steps(sources: Sources, quoted: dict[str, str]) -> tuple[PlannedStep, ...]:
    """Every transaction of an installation; ``quoted``: how the server writes the names of the tables."""
    found = []
    for step in sources.steps():
        tables = dict.fromkeys(_triggers(_code(step.text)))
        found.append(PlannedStep(_phrase(sources, step.title), tuple(quoted.get(table, table) for table in tables)))
    return tuple(found)


def _phrase(sources: Sources, title: str) -> str:
    """Return what a step does, with the file that does it."""
    file, _, part = title.partition(": ")
    name = "20_sources" if file == f"{sources.file}.sql" else file.removesuffix(".sql")
    return f"{part or PHRASES[name]} ({file})"


def pinned(sources: Sources) -> dict[str, list[str]]:
    """Return the columns that are read, by table: PostgreSQL refuses to drop them, and to change their types."""
    columns: dict[str, list[str]] = {}
    for table, column in re.findall(r"(\w+)\.(\w+):", wanted(sources).types):
        columns.setdefault(table, []).append(column)
    return columns


def created(sources: Sources, schema: str) -> tuple[str, ...]:
    """Everything that an installation makes, counted and named."""
    code = "\n".join(_code(step.text) for step in sources.steps())
    kinds = {
        "table": r"table if not exists",
        "view": r"or replace view",
        "routine": r"or replace (?:function|procedure|aggregate)",
    }
    named = {kind: re.findall(rf"create {how} gaq\.(\w+)", code) for kind, how in kinds.items()}
    named["routine"] += re.findall(r"gaq\.create_marking\('(\w+)'", code)
    named["view"] = list(dict.fromkeys(named["view"]))  # 15_marking.sql may create one for a while
    listed = [f"{len(names)} {kind}s of schema gaq: {', '.join(names)}" for kind, names in named.items()]
    triggers = _triggers(code)
    tables = dict.fromkeys(triggers)
    return (
        f"schema gaq and roles of the whole server, unless there: {', '.join(ROLES)}",
        *listed,
        f"view {schema}.gaq_summaries",
        f"{len(triggers)} triggers on {len(tables)} tables: {', '.join(tables)}",
    )

"""What the scripts say that they want and make: parsed from their text, without a server."""

import re
from dataclasses import dataclass
from functools import cache

from gaq_listen.dba.plan_text import PlannedStep
from gaq_listen.dba.scripts import INSTALL_SCRIPTS, script, steps

ROLES = ["gaq_owner", "gaq_worker", "gaq_reader"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What 20_sources.sql names: tables that get triggers, other tables, views of these alone, every word."""

    marked: tuple[str, ...]
    read: tuple[str, ...]
    views: dict[str, str]
    words: list[str]


@cache
def wanted() -> Wanted:
    """From 20_sources.sql as it is, adapted or not."""
    code = _code(script("20_sources"))
    marked = tuple(dict.fromkeys(_triggers(code)))
    granted = [
        _name(word) for names in re.findall(r"grant select on (.+?)\s+to ", code, re.S) for word in names.split(",")
    ]
    views = re.findall(r"create or replace view (\S+) as\s(.+?);", code, re.S)
    return Wanted(
        marked,
        tuple(name for name in granted if name not in marked),
        {view: body for view, body in views if "gaq." not in body},
        sorted(set(re.findall(r"\w+", code))),
    )


def _code(text: str) -> str:
    return re.sub(r"--[^\n]*", "", text)


def _triggers(code: str) -> list[str]:
    """The table of each trigger that marks."""
    return [_name(table) for table in re.findall(r"create or replace trigger \S+ after \w+ on (\S+)", code)]


def _name(text: str) -> str:
    text = text.strip()
    return text[1:-1].replace('""', '"') if text.startswith('"') else text.lower()


def planned_steps(quoted: dict[str, str]) -> tuple[PlannedStep, ...]:
    """Every transaction of an installation; ``quoted``: how the server writes the names of the tables."""
    found = []
    for step in (step for name in INSTALL_SCRIPTS for step in steps(name)):
        tables = dict.fromkeys(_triggers(_code(step.text)))
        found.append(PlannedStep(step.title, tuple(quoted.get(table, table) for table in tables)))
    return tuple(found)


def created(schema: str) -> tuple[str, ...]:
    """Everything that an installation makes, counted and named."""
    code = "\n".join(_code(script(name)) for name in INSTALL_SCRIPTS)
    kinds = {
        "table": r"table if not exists",
        "view": r"or replace view",
        "routine": r"or replace (?:function|procedure)",
    }
    named = {kind: re.findall(rf"create {how} gaq\.(\w+)", code) for kind, how in kinds.items()}
    listed = [f"{len(names)} {kind}s of schema gaq: {', '.join(names)}" for kind, names in named.items()]
    triggers = _triggers(code)
    tables = dict.fromkeys(triggers)
    return (
        f"schema gaq and roles of the whole server, unless there: {', '.join(ROLES)}",
        *listed,
        f"view {schema}.gaq_summaries",
        f"{len(triggers)} triggers on {len(tables)} tables: {', '.join(tables)}",
    )

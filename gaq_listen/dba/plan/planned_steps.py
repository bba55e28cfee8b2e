"""List the steps of an installation, what they create, and the columns that they pin."""

import re

from gaq_listen.dba.manifest import ROLES, code_of, manifest_of, triggered_tables
from gaq_listen.dba.plan.installation_plan import PlannedStep
from gaq_listen.dba.scripts import PHRASES
from gaq_listen.dba.sources import Sources


def planned_steps(sources: Sources, quoted: dict[str, str]) -> tuple[PlannedStep, ...]:
    """Return every transaction of an installation. ``quoted`` maps names of tables to the way SQL writes them."""
    planned = []
    for step in sources.steps():
        tables = dict.fromkeys(triggered_tables(code_of(step.text)))
        locks = tuple(quoted.get(table, table) for table in tables)
        planned.append(PlannedStep(_phrase(sources, step.title), locks))
    return tuple(planned)


def _phrase(sources: Sources, title: str) -> str:
    """Return what a step does, and the file that does it."""
    file, _, part = title.partition(": ")
    name = "20_sources" if file == f"{sources.file}.sql" else file.removesuffix(".sql")
    return f"{part or PHRASES[name]} ({file})"


def pinned_columns(sources: Sources) -> tuple[str, ...]:
    """Return ``table (columns)`` for each table. PostgreSQL refuses to drop these columns or to change their types."""
    columns: dict[str, list[str]] = {}
    for table, column in re.findall(r"(\w+)\.(\w+):", manifest_of(sources).types):
        columns.setdefault(table, []).append(column)
    return tuple(f"{table} ({', '.join(names)})" for table, names in columns.items())


def created_objects(sources: Sources, schema: str) -> tuple[str, ...]:
    """Return everything that an installation creates, with counts and names, one kind a line."""
    code = "\n".join(code_of(step.text) for step in sources.steps())
    kinds = {
        "table": r"table if not exists",
        "view": r"or replace view",
        "routine": r"or replace (?:function|procedure|aggregate)",
    }
    named = {kind: re.findall(rf"create {how} gaq\.(\w+)", code) for kind, how in kinds.items()}
    named["routine"] += re.findall(r"gaq\.create_marking\('(\w+)'", code)
    named["view"] = list(dict.fromkeys(named["view"]))  # 15_marking.sql may create a view that a later step replaces
    listed = [f"{len(names)} {kind}s of schema gaq: {', '.join(names)}" for kind, names in named.items()]
    triggers = triggered_tables(code)
    tables = dict.fromkeys(triggers)
    return (
        f"schema gaq, and the roles {', '.join(ROLES)} of the whole server, unless they exist",
        *listed,
        f"view {schema}.gaq_summaries",
        f"{len(triggers)} triggers on {len(tables)} tables: {', '.join(tables)}",
    )

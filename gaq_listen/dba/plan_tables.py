"""What ``plan`` learns of the source tables: how large and busy they are, who holds them, what they lack."""

import re
import time
from dataclasses import asdict
from datetime import datetime

import psycopg

from gaq_listen.db.server_errors import sentence
from gaq_listen.dba import plan_queries as queries
from gaq_listen.dba.manifest import manifest_of
from gaq_listen.dba.plan_queries import PlanReader, Row
from gaq_listen.dba.plan_view import Holder, SourceTable
from gaq_listen.dba.sources import Sources, shipped
from gaq_listen.wording import count

INTERVAL = 1.0
"""Seconds between the two readings that give the present rate of writing: sessions report about that often."""


def present(look: PlanReader, server: Row, sources: Sources) -> list[Row]:
    """The source tables that are there, in the order of the sources file."""
    file = f"{sources.file}.sql"
    names = [*manifest_of(sources).marked, *manifest_of(sources).read]
    found = {row["name"]: row for row in look.ask(queries.TABLES, tables=names)}
    if not server["schema_exists"]:
        look.block_name(
            f"There is no schema {server['schema']}", "Name the schema of the source tables: --source-schema"
        )
    elif missing := [name for name in names if name not in found]:
        others = ", ".join(name for name in shipped() if name != sources.name)
        look.block_name(
            f"Schema {server['schema']} has no table {', '.join(missing)}",
            f"Name the schema that has them: --source-schema; where they have other names: --sources {others}, or "
            f"adapt {file}; gaq-listen sql reference_tables prints their shape",
        )
    for row in found.values():
        row["marked"] = row["name"] in manifest_of(sources).marked
        if row["marked"] and row["kind"] not in "rp":
            look.block_name(f"{row['quoted']} is no table, so no trigger can mark its changes", f"Adapt {file}")
        if row["secured"]:
            what = f"{row['quoted']} has row-level security: a refresh fails rather than miss rows"
            look.warn(what, "Once installed: ALTER ROLE gaq_owner BYPASSRLS")
        for hidden in look.ask(queries.VIRTUAL_COLUMNS, table=row["oid"], words=manifest_of(sources).words):
            what = f"{row['quoted']}.{hidden['name']} is a virtual column, which triggers see as null"
            look.warn(what, f"Make it STORED, or compare its sources in {file}")
    return [found[name] for name in names if name in found]


def described(look: PlanReader, tables: list[Row]) -> tuple[tuple[SourceTable, ...], float, datetime | None]:
    """The tables with what is written to them, the seconds that was measured for, and when counting began."""
    before, started = _written(look, tables), time.monotonic()
    time.sleep(INTERVAL)
    look.ask("select pg_stat_clear_snapshot()")
    after, measured = _written(look, tables), time.monotonic() - started
    (counted,) = look.ask(queries.COUNTED_SINCE)
    shown = tuple(
        SourceTable(
            name=row["name"],
            marked=row["marked"],
            kind=row["kind"],
            children=len(row["family"]) - 1,
            rows=row["rows"],
            size=look.attempt(queries.SIZE, family=row["family"]),
            now=max(0, new - old) / measured,
            written=new,
            average=new / counted["seconds"] if counted["seconds"] else None,
        )
        for row, old, new in zip(tables, before, after, strict=True)
    )
    return shown, measured, counted["since"]


def _written(look: PlanReader, tables: list[Row]) -> list[int]:
    return [look.ask(queries.WRITTEN, family=row["family"])[0]["written"] or 0 for row in tables]


def holders(look: PlanReader, tables: list[Row]) -> tuple[Holder, ...]:
    """Who has locks now that a step would wait for."""
    marked = [row["oid"] for row in tables if row["marked"]]
    return tuple(Holder(**row | {"locks": tuple(row["locks"])}) for row in look.ask(queries.HOLDERS, tables=marked))


def check_columns(look: PlanReader, sources: Sources) -> None:
    """Lets the server parse what each view reads. Needs the search_path of the source tables."""
    for view, body in manifest_of(sources).views.items():
        try:
            with look.connection.transaction():
                # Parsed, and not executed: that takes no right to read, and no time.
                look.connection.execute(f"prepare gaq_listen_plan as {body}".encode())
                look.connection.execute("deallocate gaq_listen_plan")
        except psycopg.errors.UndefinedTable:
            pass  # told already
        except psycopg.errors.LockNotAvailable:
            what = f"The columns of {view} were not checked: the table is locked"
            look.warn(what, "Look again when it is not")
        except psycopg.ProgrammingError as error:
            look.block_name(
                f"{view} cannot be created: {sentence(error)}", f"Adapt {sources.file}.sql to what there is"
            )


def check_types(look: PlanReader, sources: Sources) -> None:
    """Block on each column whose type cannot be read. Needs the search_path of the source tables."""
    for unfit in queries.unfit_columns(look.connection, manifest_of(sources).types):
        look.block_name(
            unfit[0].upper() + unfit[1:],
            "Give the table a column of such a type, and let a sources file of your own (--sources FILE.sql) read it",
        )


def check_generated(look: PlanReader, sources: Sources) -> None:
    """Columns that ought to be generated, and are not: for others, who read them."""
    for wanted_ in manifest_of(sources).generated:
        values = {"table": wanted_.table, "column": wanted_.column, "words": re.findall(r"\w+", wanted_.expression)}
        for column in look.ask(queries.GENERATED, **values):
            generated = f"{wanted_.column} {column['type']} GENERATED ALWAYS AS ({wanted_.expression}) STORED"
            if column["exists"]:
                wrong = look.attempt(queries.WRONG.format(name=column["name"], **asdict(wanted_)))
                what = f"{column['name']}.{wanted_.column} is a plain column, which nobody keeps up to date"
                what += f"; it is wrong in {count(wrong, 'row')}" if wrong else ""
                alter = f"ALTER TABLE {column['name']} DROP COLUMN {wanted_.column}, ADD COLUMN {generated}"
            else:
                what = f"{column['name']} has no column {wanted_.column}"
                alter = f"ALTER TABLE {column['name']} ADD COLUMN {generated}"
            look.warn(
                f"{what}. gaq-listen reads what it is made of, and does without",
                f"For others who read it: {alter} (writes the table anew, under ACCESS EXCLUSIVE)",
            )


def backfill(look: PlanReader, sources: Sources, replaces: bool) -> int | None:
    """How many pairs would be marked. Needs the search_path of the source tables."""
    pairs = manifest_of(sources).views.get("gaq.source_pairs")
    if pairs is None:
        return None
    count = look.attempt((queries.BACKFILL_REST if replaces else queries.BACKFILL).replace("{pairs}", pairs))
    return None if count is None else int(count)

"""Check whether the source tables and columns exist, and whether an installation can use them."""

import re
from dataclasses import asdict

import psycopg

from gaq_listen.db.server_errors import sentence
from gaq_listen.dba.checks.unseen_changes import SourceTableSet
from gaq_listen.dba.manifest import GeneratedColumn, manifest_of
from gaq_listen.dba.plan.plan_reader import PlanReader, Row
from gaq_listen.dba.scripts import script
from gaq_listen.dba.sources import Sources, shipped
from gaq_listen.wording import count

_TABLES = """
select c.relname as name, format('%%I.%%I', s.nspname, c.relname) as quoted, c.oid, c.relkind::text as kind,
       pg_has_role(c.relowner, 'usage') as owned,
       has_table_privilege(c.oid, 'select with grant option') as passes_select
from pg_class c
join pg_namespace s on s.oid = c.relnamespace
where s.nspname = %(schema)s and c.relname = any(%(tables)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
"""

_COLUMNS = """
select attrelid::bigint as table_oid, attname::text as name from pg_attribute
where attrelid = any(%(tables)s::oid[]) and attname = any(%(words)s) and attnum > 0 and not attisdropped
"""

# A column that is missing or not generated, with its type, or else the type of the columns of the expression.
_NOT_GENERATED = """
select format('%%I.%%I', s.nspname, c.relname) as name, a.attname is not null as exists,
       coalesce(format_type(a.atttypid, a.atttypmod), expression.type) as type
from pg_class c
join pg_namespace s on s.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attname = %(column)s and not a.attisdropped
cross join lateral (
    select min(format_type(atttypid, atttypmod)) as type
    from pg_attribute where attrelid = c.oid and attname = any(%(words)s) and not attisdropped
) expression
where s.nspname = %(schema)s and c.relname = %(table)s and coalesce(a.attgenerated, '') = ''
"""

_WRONG = "select count(*) from {name} where {column} is distinct from {expression}"

_UNFIT = re.compile(r"function gaq\.unfit_columns\(needs text\).+?as \$\$(.+?)\$\$", re.DOTALL)


def find_tables(reader: PlanReader, server: Row, sources: Sources) -> list[Row]:
    """Return the source tables that exist, in the order of the sources file. A missing one is an obstacle."""
    manifest = manifest_of(sources)
    file = f"{sources.file}.sql"
    names = [*manifest.marked, *manifest.read]
    found = {row["name"]: row for row in reader.ask(_TABLES, tables=names)}
    if not server["schema_exists"]:
        reader.naming_obstacle(
            f"schema {server['schema']} does not exist",
            "gaq-listen looks for the source tables in one schema",
            "name the schema of the source tables: --source-schema",
        )
    elif missing := [name for name in names if name not in found]:
        others = ", ".join(name for name in shipped() if name != sources.name)
        reader.naming_obstacle(
            f"schema {server['schema']} has no table {', '.join(missing)}",
            f"{file} names the table as a source table",
            f"name the schema that has the tables: --source-schema; if they have other names: --sources {others}, or "
            f"adapt {file}; gaq-listen sql reference_tables prints the expected tables",
        )
    for row in found.values():
        row["marked"] = row["name"] in manifest.marked
        if row["marked"] and row["kind"] not in "rp":
            why = "no trigger can mark its changes"
            reader.naming_obstacle(f"{row['quoted']} is not a table", why, f"adapt {file}")
    return [found[name] for name in names if name in found]


def planned_table_set(reader: PlanReader, tables: list[Row], sources: Sources) -> SourceTableSet:
    """Return the tables that an installation would mark and read, for the checks that the doctor runs, too."""
    marked = [row["oid"] for row in tables if row["marked"]]
    columns = reader.ask(_COLUMNS, tables=marked, words=manifest_of(sources).words)
    return SourceTableSet(
        marked=marked,
        read=[row["oid"] for row in tables],
        columns=[(column["table_oid"], column["name"]) for column in columns],
    )


def check_columns(reader: PlanReader, sources: Sources) -> None:
    """Let the server parse each source view. A column that does not exist is an obstacle.

    The search_path must have the schema of the source tables.
    """
    for view, body in manifest_of(sources).views.items():
        try:
            with reader.connection.transaction():
                # PREPARE parses the view without executing it. That needs no right to read, and takes no time.
                reader.connection.execute(f"prepare gaq_listen_plan as {body}".encode())
                reader.connection.execute("deallocate gaq_listen_plan")
        except psycopg.errors.UndefinedTable:
            pass  # find_tables has added an obstacle
        except psycopg.errors.LockNotAvailable:
            what = f"the columns of {view} could not be checked"
            reader.advise(what, "another session has locked the table", "run the plan again later", "warning")
        except psycopg.ProgrammingError as error:
            reader.naming_obstacle(
                f"{view} cannot be created: {sentence(error)}",
                "the source tables have other columns than the sources file names",
                f"adapt {sources.file}.sql to the columns of the tables",
            )


def check_types(reader: PlanReader, sources: Sources) -> None:
    """Add an obstacle for each column whose type gaq-listen cannot read.

    The search_path must have the schema of the source tables.
    """
    for unfit in _unfit_columns(reader, manifest_of(sources).types):
        reader.naming_obstacle(
            unfit,
            "the source views cannot convert values of that type",
            "add a column of such a type to the table, and read it in a sources file of your own: --sources FILE.sql",
        )


def _unfit_columns(reader: PlanReader, needs: str) -> list[str]:
    """Return a sentence for each source column with an unsupported type. Installations run the same query.

    ``needs`` has a line "table.column: kind" for each column.
    """
    (query,) = _UNFIT.findall(script("15_marking"))
    query = query.replace("%", "%%").replace("(needs,", "(%s,")
    return [text for (text,) in reader.connection.execute(query.encode(), (needs,))]


def advise_generated_columns(reader: PlanReader, sources: Sources) -> None:
    """Add a finding for each column that other programs may read, and that should be generated but is not."""
    for wanted in manifest_of(sources).generated:
        words = re.findall(r"\w+", wanted.expression)
        for column in reader.ask(_NOT_GENERATED, table=wanted.table, column=wanted.column, words=words):
            _advise_generated_column(reader, wanted, column)


def _advise_generated_column(reader: PlanReader, wanted: GeneratedColumn, column: Row) -> None:
    definition = f"{wanted.column} {column['type']} GENERATED ALWAYS AS ({wanted.expression}) STORED"
    if column["exists"]:
        wrong = reader.attempt(_WRONG.format(name=column["name"], **asdict(wanted)))
        what = f"{column['name']}.{wanted.column} is not a generated column, and PostgreSQL does not keep it up to date"
        what += f"; it is wrong in {count(wrong, 'row')}" if wrong else ""
        alter = f"ALTER TABLE {column['name']} DROP COLUMN {wanted.column}, ADD COLUMN {definition}"
    else:
        what = f"{column['name']} has no column {wanted.column}"
        alter = f"ALTER TABLE {column['name']} ADD COLUMN {definition}"
    reader.advise(
        what,
        f"other programs may read the column; gaq-listen reads {wanted.expression} instead",
        f"{alter}; -- rewrites the table under ACCESS EXCLUSIVE",
    )

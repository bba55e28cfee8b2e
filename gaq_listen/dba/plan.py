"""What an installation would do in this very database, and what is in its way. Reads, and changes nothing."""

import click
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.adoption import legacy_plan
from gaq_listen.adoption.lost_triggers import lost_triggers
from gaq_listen.db import source_bindings
from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.dba import indexes
from gaq_listen.dba import plan_queries as queries
from gaq_listen.dba import plan_tables as tables_
from gaq_listen.dba.manifest import ROLES, created, pinned, planned_steps
from gaq_listen.dba.plan_queries import PlanReader, Row
from gaq_listen.dba.plan_surroundings import event_triggers, table_owners
from gaq_listen.dba.plan_view import Holder, MissingIndex, Plan, SourceTable, render
from gaq_listen.dba.sources import chosen, schema

__all__ = ["Plan", "make", "render", "show"]

OLDEST = 140000
"""The first PostgreSQL that will do."""


def show(connection: Connection[TupleRow], source_schema: str | None, sources: str | None = None) -> bool:
    """Prints the plan; returns whether nothing stands in the way."""
    plan = make(connection, source_schema, sources)
    click.echo(render(plan))
    return not plan.blockers


def make(
    connection: Connection[TupleRow], source_schema: str | None = None, given: str | None = None, measure: bool = True
) -> Plan:
    """Looks at everything, in a read-only transaction that is rolled back; takes about a second.

    The connection must be in autocommit. ``given``: the name of sources; None: as installed before, else the reference;
    and so with ``source_schema``. Without ``measure``, it takes no second: how much is written, who holds locks, which
    indexes are missing, and how many pairs would be marked stays unknown.

    Raises:
        GaqListenError: it was installed with other sources.
    """
    sources = chosen(connection, given)
    source_schema = schema(connection, source_schema)
    look = PlanReader(connection, source_schema)
    pooler = _pooler(look)
    holders: tuple[Holder, ...] = ()
    missing: list[indexes.Index] = []
    described: tuple[SourceTable, ...] = ()
    measured, since, backfill = 0.0, None, None
    with connection.transaction(force_rollback=True):
        connection.execute(queries.SESSION)
        (server,) = look.ask(queries.SERVER)
        version = f"PostgreSQL {server['version']}"
        if server["number"] < OLDEST:
            look.block(f"{version} is too old", "gaq-listen needs PostgreSQL 14 or later")
            known = (server["database"], server["schema"], version, server["role"], pooler)
            return Plan(*known, blockers=tuple(look.blockers))
        if server["standby"]:
            look.block("This server is a standby: it only reads", "Install on its primary, and it arrives here too")
        found, replaces = _installed(look, server)
        original = legacy_plan.adoption_of(look)
        present = tables_.present(look, server, sources)
        role = _role(look, server, present)
        event_triggers(look)
        table_owners(look, present)
        if measure:
            holders = tables_.holders(look, present)
            missing = indexes.missing(connection, source_schema, sources)
            described, measured, since = tables_.described(look, present)
        look.ask(queries.SOURCE_PATH)
        tables_.check_types(look, sources)
        tables_.check_columns(look, sources)
        kept = bool(look.misnamed) and source_bindings.is_rename_only(connection, SQL_VERSION)
        if kept:
            _tell_renamed(look)
        if measure:
            tables_.check_generated(look, sources)
            for trigger in lost_triggers(connection, source_schema, sources):
                look.warn(f"{trigger.what}. Without it {trigger.why}", trigger.remedy)
            backfill = tables_.backfill(look, sources, replaces)
    return Plan(
        database=server["database"],
        schema=server["schema"],
        server=f"{version}{', a standby' if server['standby'] else ', not a standby'}",
        role=role,
        pooler=pooler,
        found=f"{found} {original}" if original else found,
        tables=described,
        measured=measured,
        counted_since=since,
        steps=planned_steps(sources, {row["name"]: row["quoted"] for row in present}),
        replaces=replaces,
        holders=holders,
        indexes=tuple(MissingIndex(index.statement(source_schema), index.why) for index in missing),
        backfill=backfill,
        creates=created(sources, server["schema"]),
        warnings=tuple(look.warnings),
        blockers=tuple(look.blockers),
        sources=sources.name,
        kept=kept,
        pinned=tuple(f"{table} ({', '.join(columns)})" for table, columns in pinned(sources).items()),
        differences=_differences(look) if replaces else (),
    )


def _tell_renamed(look: PlanReader) -> None:
    """Turn what the sources file does not find, because it has another name, into something worth knowing."""
    look.blockers[:] = [obstacle for obstacle in look.blockers if obstacle not in look.misnamed]
    for row in look.ask("select name_then, name_now from gaq.renamed_sources() order by 1"):
        what = f"{row['name_then']} is now called {row['name_now']}; what is bound to it stays as it is"
        look.warn(what, "A later version of gaq-listen may need a sources file with the new names: --sources FILE.sql")


def _differences(look: PlanReader) -> tuple[str, ...]:
    """Return what is not as the last installation recorded it, and what this one would do about it."""
    if not look.ask(
        "select where num_nulls(to_regprocedure('gaq.source_changes()'), to_regclass('gaq.installation')) = 0"
    ):
        return ()
    try:
        with look.connection.transaction(force_rollback=True):
            changes = [row["what"] for row in look.ask(source_bindings.SOURCE_CHANGES)]
            objects = [f"{row['kind']} {row['name']} {row['what']}" for row in look.ask(queries.DIFFERENCES)]
    except psycopg.errors.InsufficientPrivilege:
        return ("what differs could not be read by this role",)
    return (*(f"{what}: this would bind anew, and mark everything" for what in changes), *objects)


def _pooler(look: PlanReader) -> str:
    """Looks for a pooler: several statements that are no transaction, and which backend answers them."""
    asked = [look.connection.execute("select pg_backend_pid()").fetchall() for _ in range(3)]
    answered = {rows[0][0] for rows in asked}
    remedy = "Connect to PostgreSQL itself: settings of the installation must not leak, and LISTEN needs a session"
    if len(answered) > 1:
        look.block("A pooler hands each transaction to another backend", remedy)
        return "one, in transaction or statement mode"
    if answered != {look.connection.info.backend_pid}:
        what = "A pooler or proxy stands in between; whether it keeps sessions together cannot be told"
        look.warn(what, f"{remedy}. In session mode it is harmless")
        return "one, in a mode that cannot be told"
    return "none seen"


def _installed(look: PlanReader, server: Row) -> tuple[str, bool]:
    """What is there, in a sentence, and whether it is ours."""
    for view in look.ask(queries.SUMMARIES):
        if not view["ours"] and view["kind"] != "table":
            rename = f"ALTER {view['kind'].upper()} {view['name']} RENAME TO ..."
            look.block(f"There is a {view['kind']} {view['name']}, and it is not gaq-listen's", f"Rename it: {rename}")
    there = look.ask(queries.INSTALLED)
    if not there:
        return f"Not installed: this would be a fresh installation, of version {SQL_VERSION}.", False
    (schema,) = there
    if not schema["ours"]:
        look.block("There is a schema gaq, and it is not gaq-listen's", "Rename it: ALTER SCHEMA gaq RENAME TO ...")
        return "Not installed, but there is a schema gaq of somebody else.", False
    if not schema["owned"] and schema["owner"] != "gaq_owner":
        owner = schema["owner"]
        look.block(f"Schema gaq belongs to {owner}", f"Install as {owner} or as a superuser")
    if schema["schemas"] not in ([], [server["schema"]]):
        where = ", ".join(schema["schemas"])
        look.block_name(f"What is installed has its triggers in schema {where}", "Name that one: --source-schema")
    if not schema["tells_version"]:
        version = 1 if schema["owner"] != "gaq_owner" else None
    elif (version := look.attempt(queries.VERSION)) is None and not schema["owned"]:
        return f"Installed, in a version that {server['role']} may not read.", True
    if version is None:
        return f"An installation that did not come to its end: this would complete it, to version {SQL_VERSION}.", True
    if version > SQL_VERSION:
        look.block(f"Version {version} is newer than this program's {SQL_VERSION}", "Upgrade the program")
        return f"Version {version}.", True
    if version < SQL_VERSION:
        return f"Version {version}: this would be an upgrade to {SQL_VERSION}. Summaries and marks are kept.", True
    return f"Version {version}: this would apply it again, and fix what differs. Summaries and marks are kept.", True


def _role(look: PlanReader, server: Row, tables: list[Row]) -> str:
    """Who installs, and whether that suffices."""
    role, before = server["role"], len(look.blockers)
    again = "or install as a superuser"
    if server["superuser"]:
        return f"{role}, a superuser: it suffices"
    if not server["creates_schemas"]:
        grant = f"GRANT CREATE ON DATABASE {server['database']} TO {server['quoted_role']}"
        look.block(f"{role} may not create a schema", f"{grant}, {again}")
    _roles(look, server, again)
    (rights,) = look.ask(queries.SCHEMA)
    if rights["suffices"] is False:
        grant = f"GRANT USAGE, CREATE ON SCHEMA {server['schema']} TO {server['quoted_role']} WITH GRANT OPTION"
        look.block(f"{role} may not create gaq_summaries in schema {server['schema']}", f"{grant}, {again}")
    foreign = [row["quoted"] for row in tables if row["marked"] and not row["owned"]]
    if foreign:
        look.block(f"{role} does not own {', '.join(foreign)}", "Install as the owner of the tables, or as a superuser")
    kept = [row["quoted"] for row in tables if not row["passes_select"] and row["quoted"] not in foreign]
    if kept:
        grant = f"GRANT SELECT ON {', '.join(kept)} TO {server['quoted_role']} WITH GRANT OPTION"
        look.block(f"{role} may not let gaq_owner read {', '.join(kept)}", f"{grant}, {again}")
    return f"{role}, no superuser: {'it suffices' if len(look.blockers) == before else 'its rights do not suffice'}"


def _roles(look: PlanReader, server: Row, again: str) -> None:
    membership = "set" if server["number"] >= 160000 else "member"
    (roles,) = look.ask(queries.ROLES, roles=ROLES, membership=membership)
    complete = not roles["missing"] and roles["acts_as_owner"] and roles["worker_reads"]
    administers = roles["administers"] or server["number"] < 160000
    if not complete and not (server["creates_roles"] and administers):
        made = [f"CREATE ROLE {name} NOLOGIN" for name in roles["missing"]]
        given = ["GRANT gaq_reader TO gaq_worker", f"GRANT gaq_owner TO {server['quoted_role']}"]
        what = f"{server['role']} may not create or grant the roles {', '.join(ROLES)}"
        look.block(what, f"Have a superuser do it: {'; '.join(made + given)}; {again}")

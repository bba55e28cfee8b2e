"""Compare the installed objects with the record of the last installation, and check who owns them."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba import catalog
from gaq_listen.dba.checks.finding import INSTALL, MAX_SINGLE, REPAIR, Finding
from gaq_listen.wording import listed

_VERSIONS = """
select server_version / 10000, current_setting('server_version_num')::int / 10000,
       exists (select from gaq.installed_objects)
from gaq.installation
"""

# After a rename, the definitions of objects that are bound to columns have the new names. gaq.source_changes() checks
# that these objects are bound to the right columns.
_CHANGED = r"""
select kind, name, before.kind is not null, after.kind is not null
from gaq.installed_objects before
full join gaq.list_objects() after using (kind, name)
where before.checksum is distinct from after.checksum
  and not (name ~ '^gaq\.(source|as)_' and before.kind is not null and after.kind is not null
           and exists (select from gaq.renamed_sources()))
order by kind, name
"""

# The names under which gaq.list_objects() lists triggers of tables.
_TRIGGER_NAMES = """
select format('%%I on %%s', name, gaq.recorded_name(table_oid)), name, table_oid
from unnest(%s::oid[], %s::text[]) t (table_oid, name)
"""

_RECORDED_TRIGGERS = "select name from gaq.installed_objects where kind = 'trigger'"

_OWNERS = """
select kind, name, quote_ident(owner)
from gaq.list_objects() join gaq.installed_objects using (kind, name)
where kind in ('function', 'view', 'table') and owner <> 'gaq_owner'
union all
select 'schema', 'gaq', quote_ident(pg_get_userbyid(nspowner))
from pg_catalog.pg_namespace
where nspname = 'gaq' and pg_get_userbyid(nspowner) <> 'gaq_owner'
order by 1, 2
"""

# gaq.list_objects() does not list these kinds of objects, because an installation creates none of them.
_ATTACHED = """
with tables as (
    select oid, oid::regclass as name, relkind, relrowsecurity, relforcerowsecurity
    from pg_catalog.pg_class where relnamespace = 'gaq'::regnamespace
)
select format('trigger %I on %s', tgname, t.name), format('DROP TRIGGER %I ON %s;', tgname, t.name)
from pg_catalog.pg_trigger join tables t on t.oid = tgrelid where not tgisinternal
union all
select format('rule %I on %s', rulename, t.name), format('DROP RULE %I ON %s;', rulename, t.name)
from pg_catalog.pg_rewrite join tables t on t.oid = ev_class where rulename <> '_RETURN'
union all
select format('row-level security on %s', t.name),
       format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;', t.name)
from tables t where relrowsecurity or relforcerowsecurity
union all
select format('foreign key %I on %s', conname, conrelid::regclass),
       format('ALTER TABLE %s DROP CONSTRAINT %I;', conrelid::regclass, conname)
from pg_catalog.pg_constraint
where contype = 'f' and conparentid = 0
  and (conrelid in (select oid from tables) or confrelid in (select oid from tables))
union all
select format('%s %s', kind, t.name), format('DROP %s %s;', upper(kind), t.name)
from tables t
join (values ('S', 'sequence'), ('m', 'materialized view'), ('f', 'foreign table'), ('p', 'table')) k (letter, kind)
     on letter::"char" = relkind
where not exists (select from pg_catalog.pg_depend d
                  where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = t.oid and d.deptype in ('a', 'i'))
order by 1
"""

_ENABLED = {
    "D": ("is disabled", "it marks no change"),
    "O": ("is not ENABLE ALWAYS", "it marks no change of a session whose session_replication_role is replica"),
    "R": ("is not ENABLE ALWAYS", "it only marks changes of sessions whose session_replication_role is replica"),
}
"""What a value of ``pg_trigger.tgenabled`` means, and its consequence."""


def changed(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each object that differs from the record of the last installation."""
    recorded = connection.execute(_VERSIONS).fetchone()
    if recorded is None or not recorded[2]:
        what = "the database has no record of the installed objects"
        return [Finding(what, "so the doctor cannot compare them with the installation", INSTALL, "warning")]
    then, now, _ = recorded
    findings = []
    if then != now:
        what = f"gaq-listen was installed on PostgreSQL {then}, and the server is PostgreSQL {now}"
        why = "definitions read differently there, so the doctor cannot compare functions, views and indexes"
        findings.append(Finding(what, why, INSTALL, "warning"))
    triggers = _triggers_by_recorded_name(connection)
    children = _children_of_recorded_triggers(connection, triggers)
    for kind, name, before, after in connection.execute(_CHANGED).fetchall():
        trigger = triggers.get(name) if kind == "trigger" else None
        if trigger and not before and trigger.table_oid in children:
            continue  # a trigger on a partition or child of a source table is useful, and its owner created it
        if then == now or not (before and after) or kind in ("table", "trigger"):
            findings.append(_change(kind, name, before, after, trigger.enabled if trigger else ""))
    return findings


def _triggers_by_recorded_name(connection: Connection[TupleRow]) -> dict[str, catalog.OurTrigger]:
    """Return our triggers on tables by the names that gaq.list_objects() uses."""
    triggers = {(trigger.table_oid, trigger.name): trigger for trigger in catalog.our_triggers(connection)}
    on_tables = [key for key, trigger in triggers.items() if trigger.is_on_table]
    oids, names = [oid for oid, _ in on_tables], [name for _, name in on_tables]
    return {recorded: triggers[oid, name] for recorded, name, oid in connection.execute(_TRIGGER_NAMES, (oids, names))}


def _children_of_recorded_triggers(
    connection: Connection[TupleRow], triggers: dict[str, catalog.OurTrigger]
) -> set[int]:
    """Return the tables below those on which an installation has created a trigger."""
    recorded = {name for (name,) in connection.execute(_RECORDED_TRIGGERS)}
    tables = {trigger.table_oid for name, trigger in triggers.items() if name in recorded}
    return {descent.descendant_oid for descent in catalog.descents(connection, tables)}


def _change(kind: str, name: str, before: bool, after: bool, enabled: str) -> Finding:
    """Return the finding for an object that differs from the record.

    Args:
        kind: Kind of the object, as in gaq.installed_objects.
        name: Name of the object, as SQL writes it.
        before: Whether the record has the object.
        after: Whether the object exists.
        enabled: ``pg_trigger.tgenabled`` of a trigger on a table, else empty.
    """
    if not after:
        why = "it marks no change" if kind == "trigger" else "everything that needs it fails"
        return Finding(f"{kind} {name} is missing", why, INSTALL)
    if not before:
        why = "it marks too much" if kind == "trigger" else "no installation created it, and uninstall would remove it"
        drop = "ROUTINE" if kind == "function" else kind.upper()
        return Finding(f"{kind} {name} is not ours", why, f"DROP {drop} {name};", "warning")
    if kind == "trigger" and enabled in _ENABLED:
        state, why = _ENABLED[enabled]
        return Finding(f"trigger {name} {state}", why, INSTALL)
    if kind == "table":
        fix = (
            "use ALTER TABLE until the table is as in the output of gaq-listen sql install; "
            "gaq-listen install does not alter an existing table"
        )
        return Finding(f"table {name} was altered", "its columns, options or replica identity differ", fix, "warning")
    if kind == "index":
        fix = f"DROP INDEX {name}; then {INSTALL}"
        return Finding(f"index {name} was altered", "it is invalid, or serves other queries", fix, "warning")
    fix = f"{INSTALL}; then {REPAIR}" if kind != "view" else INSTALL
    return Finding(f"{kind} {name} was altered", "it differs from the installed one, and may act differently", fix)


def owners(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each of our objects that does not belong to gaq_owner."""
    why = "the object runs or reads with the rights of that owner instead of those of gaq_owner"
    found = connection.execute(_OWNERS).fetchall()
    if len(found) > MAX_SINGLE:
        others = listed(sorted({owner for _, _, owner in found}))
        return [Finding(f"{len(found)} objects of gaq-listen belong to {others}", why, INSTALL, "warning")]
    return [
        Finding(
            f"{kind} {name} belongs to {owner}",
            why,
            f"ALTER {'ROUTINE' if kind == 'function' else kind.upper()} {name} OWNER TO gaq_owner;",
            "warning",
        )
        for kind, name, owner in found
    ]


def attached(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each trigger, rule, key or policy that other people have added to schema gaq."""
    why = "triggers that mark and workers that refresh may become slow, wait or fail"
    return [Finding(f"{what} is not ours", why, fix, "warning") for what, fix in connection.execute(_ATTACHED)]

"""What is installed against what was: objects that are missing, altered or additional, and who owns them."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.checks.finding import FEW, INSTALL, REPAIR, Finding, listed

_VERSIONS = """
select server_version / 10000, current_setting('server_version_num')::int / 10000,
       exists (select from gaq.installed_objects)
from gaq.installation
"""

# A trigger on a partition or an inheritance child of a table that we mark is its owner's good idea, not a stranger.
_CHANGED = r"""
with recursive marking as (
    select format('%I on %s', tgname, gaq.recorded_name(tgrelid)) as trigger, tgenabled, tgrelid
    from pg_catalog.pg_trigger
    join pg_catalog.pg_proc on pg_proc.oid = tgfoid
    join pg_catalog.pg_class on pg_class.oid = tgrelid
    where pronamespace = 'gaq'::regnamespace and tgparentid = 0 and relkind in ('r', 'p')
), installed as (
    select tgrelid from marking where trigger in (select name from gaq.installed_objects where kind = 'trigger')
), descendants as (
    select inhrelid from pg_catalog.pg_inherits where inhparent in (select tgrelid from installed)
    union
    select i.inhrelid from pg_catalog.pg_inherits i join descendants d on i.inhparent = d.inhrelid
)
select kind, name, before.kind is not null, after.kind is not null, coalesce(tgenabled::text, '')
from gaq.installed_objects before
full join gaq.objects() after using (kind, name)
left join marking on kind = 'trigger' and trigger = name
where before.checksum is distinct from after.checksum
  -- Definitions of what is bound to columns tell the names of now. Whether it is bound as it should be, bound.py asks.
  and not (name ~ '^gaq\.(source|as)_' and before.kind is not null and after.kind is not null
           and exists (select from gaq.renamed_sources()))
  and (before.kind is null and tgrelid in (select inhrelid from descendants)) is not true
order by kind, name
"""

_OWNERS = """
select kind, name, quote_ident(owner)
from gaq.objects() join gaq.installed_objects using (kind, name)
where kind in ('function', 'view', 'table') and owner <> 'gaq_owner'
union all
select 'schema', 'gaq', quote_ident(pg_get_userbyid(nspowner))
from pg_catalog.pg_namespace
where nspname = 'gaq' and pg_get_userbyid(nspowner) <> 'gaq_owner'
order by 1, 2
"""

# What gaq.objects() does not list, because nothing of the kind was installed.
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
    "D": ("is disabled", "changes that it should mark go unnoticed"),
    "O": ("is not ENABLE ALWAYS", "changes go unnoticed where session_replication_role is replica"),
    "R": ("is not ENABLE ALWAYS", "changes go unnoticed except where session_replication_role is replica"),
}


def changed(connection: Connection[TupleRow]) -> list[Finding]:
    """What gaq.objects() says now against what it said at the end of the installation."""
    recorded = connection.execute(_VERSIONS).fetchone()
    if recorded is None or not recorded[2]:
        what = "nothing is recorded of what was installed"
        return [Finding(what, "so it cannot be told whether it is still the same", INSTALL, "warning")]
    then, now, _ = recorded
    findings = []
    if then != now:
        what = f"installed on PostgreSQL {then}, now on {now}"
        why = "definitions read differently, so functions, views and indexes could not be compared"
        findings.append(Finding(what, why, INSTALL, "warning"))
    return findings + [
        _change(kind, name, before, after, enabled)
        for kind, name, before, after, enabled in connection.execute(_CHANGED)
        if then == now or not (before and after) or kind in ("table", "trigger")
    ]


def _change(kind: str, name: str, before: bool, after: bool, enabled: str) -> Finding:
    """What became of an object that is not as recorded; ``enabled`` is the letter of a trigger on a table."""
    if not after:
        if kind == "trigger":
            why, fix = "changes that it should mark go unnoticed", INSTALL
        else:
            why, fix = "what needs it fails", INSTALL
        return Finding(f"{kind} {name} is missing", why, fix)
    if not before:
        why = "it was not installed by us; an uninstall would remove it" if kind != "trigger" else "it marks too much"
        drop = "ROUTINE" if kind == "function" else kind.upper()
        return Finding(f"{kind} {name} is not ours", why, f"DROP {drop} {name};", "warning")
    if kind == "trigger" and enabled in _ENABLED:
        state, why = _ENABLED[enabled]
        return Finding(f"trigger {name} {state}", why, INSTALL)
    if kind == "table":
        fix = "use ALTER TABLE, to make it what gaq-listen sql install says; installing again does not alter a table"
        return Finding(f"table {name} was altered", "its columns, options or replica identity differ", fix, "warning")
    if kind == "index":
        fix = f"DROP INDEX {name}; then {INSTALL}"
        return Finding(f"index {name} was altered", "it is invalid, or serves other queries", fix, "warning")
    fix = f"{INSTALL}; then {REPAIR}" if kind != "view" else INSTALL
    return Finding(f"{kind} {name} was altered", "it does something else than what was installed", fix)


def owners(connection: Connection[TupleRow]) -> list[Finding]:
    """Everything of ours belongs to gaq_owner."""
    why = "it runs or reads with other rights than those of gaq_owner"
    found = connection.execute(_OWNERS).fetchall()
    if len(found) > FEW:
        others = listed(sorted({owner for _, _, owner in found}))
        return [Finding(f"{len(found)} things of gaq-listen belong to {others}", why, INSTALL, "warning")]
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
    """Triggers, rules, keys and the like that somebody gave to the tables of schema gaq."""
    why = "marking and refreshing may become slow, wait or fail"
    return [Finding(f"{what} is not ours", why, fix, "warning") for what, fix in connection.execute(_ATTACHED)]

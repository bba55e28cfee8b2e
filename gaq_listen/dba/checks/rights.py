"""Check the rights of roles against those that ``70_grants.sql`` and the sources file grant."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba import catalog
from gaq_listen.dba.checks.finding import INSTALL, MAX_SINGLE, Finding
from gaq_listen.wording import listed

# Owners may grant rights on gaq_summaries to anybody, so this query leaves it out.
_GIVEN = """
with given as (
    select 'SCHEMA' as kind, 'gaq' as name, nspowner as owner, nspacl as acl
    from pg_catalog.pg_namespace where nspname = 'gaq'
    union all
    select case relkind when 'S' then 'SEQUENCE' else 'TABLE' end, oid::regclass::text, relowner, relacl
    from pg_catalog.pg_class where relnamespace = 'gaq'::regnamespace
    union all
    select 'TABLE', c.oid::regclass::text, relowner, attacl
    from pg_catalog.pg_class c join pg_catalog.pg_attribute on attrelid = c.oid
    where relnamespace = 'gaq'::regnamespace
    union all
    select 'ROUTINE', oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner))
    from pg_catalog.pg_proc where pronamespace = 'gaq'::regnamespace
)
select kind, name, coalesce(quote_ident(rolname), 'PUBLIC'),
       string_agg(distinct privilege_type, ', ' order by privilege_type)
from given
cross join lateral aclexplode(acl)
left join pg_catalog.pg_roles on pg_roles.oid = grantee
where grantee <> owner
  and (rolname is null
       or not rolsuper and rolname <> 'gaq_owner'
          and (rolname not in ('gaq_worker', 'gaq_reader') or privilege_type not in ('SELECT', 'USAGE', 'EXECUTE')))
  -- gaq_summaries calls these functions with the rights of its reader.
  and not (rolname is null
           and name ~ '^gaq[.]([a-z_]+_marked_at|oldest_(wide_mark|mark_at)|first_placed_marks|(first_)?wide_marks)[(]')
group by kind, name, rolname
order by kind, name, rolname
"""

_ROLES = """
select wanted from unnest(array['gaq_owner', 'gaq_worker', 'gaq_reader']) wanted
where not exists (select from pg_catalog.pg_roles where rolname = wanted)
"""

# For a right of a role on another role, the kind is null, and the name is the statement that grants the right.
_NEEDED = """
with roles as (
    select oid, rolname from pg_catalog.pg_roles where rolname in ('gaq_owner', 'gaq_worker', 'gaq_reader')
), needed as (
    select rolname, 'EXECUTE' as privilege, 'ROUTINE' as kind, p.oid::regprocedure::text as name,
           has_function_privilege(r.oid, p.oid, 'EXECUTE') as has
    from roles r
    join pg_catalog.pg_proc p on pronamespace = 'gaq'::regnamespace
    where (rolname = 'gaq_worker' and proname in ('refresh', 'next_due', 'drain'))
       or (rolname = 'gaq_reader' and proname in ('bell_key', 'list_objects'))
    union all
    select rolname, 'SELECT', 'TABLE', c.oid::regclass::text, has_table_privilege(r.oid, c.oid, 'SELECT')
    from roles r
    join pg_catalog.pg_class c
      on relnamespace = 'gaq'::regnamespace
         and relname in ('status', 'pending', 'current_summaries', 'source_data_passes', 'source_detectors',
                         'installation', 'installed_objects')
      or c.oid = to_regclass(%s)
    where rolname = 'gaq_reader'
    union all
    select rolname, 'USAGE', 'SCHEMA', quote_ident(nspname), has_schema_privilege(r.oid, n.oid, 'USAGE')
    from roles r
    join pg_catalog.pg_namespace n
      on nspname = 'gaq' or nspname in (select schema_name from gaq.bindings)
    union all
    select rolname, 'gaq_reader', null,
           case when current_setting('server_version_num')::int >= 160000
                then 'GRANT gaq_reader TO gaq_worker WITH INHERIT TRUE;'
                when pg_has_role(r.oid, 'gaq_reader', 'MEMBER') then 'ALTER ROLE gaq_worker INHERIT;'
                else 'GRANT gaq_reader TO gaq_worker;' end,
           pg_has_role(r.oid, 'gaq_reader', 'USAGE')
    from roles r
    where rolname = 'gaq_worker' and exists (select from roles where rolname = 'gaq_reader')
)
select rolname, privilege, kind, name from needed where not has order by rolname, kind, name
"""

_UNREADABLE = """
select attrelid::regclass::text, array_agg(attname::text order by attnum)
from unnest(%s::oid[], %s::int2[]) read_column (table_oid, number)
join pg_catalog.pg_attribute on attrelid = table_oid and attnum = number
where not has_column_privilege((select oid from pg_catalog.pg_roles where rolname = 'gaq_owner'),
                               attrelid, attnum, 'SELECT')
group by attrelid order by 1
"""

_WRITABLE = """
select c.oid::regclass::text, string_agg(privilege, ', ' order by privilege)
from pg_catalog.pg_class c
cross join unnest(array['DELETE', 'INSERT', 'TRUNCATE', 'UPDATE']) privilege
where c.oid = any (%s::oid[]) and relkind in ('r', 'p')
  and has_table_privilege((select oid from pg_catalog.pg_roles where rolname = 'gaq_owner'), c.oid, privilege)
group by c.oid order by 1
"""


def given(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each right in schema gaq that a role should not have.

    Only gaq_worker and gaq_reader need rights there, and neither needs a right to write.
    """
    why = "only gaq_worker and gaq_reader need rights in schema gaq, and neither needs a right to write"
    found = connection.execute(_GIVEN).fetchall()
    public = [row for row in found if row[0] == "ROUTINE" and row[2] == "PUBLIC"]
    if len(public) > MAX_SINGLE:  # as after a restore without owners
        found = [row for row in found if row not in public]
    findings = [
        Finding(
            f"{role} has {privileges} on {kind.lower()} {name}",
            why,
            f"REVOKE {privileges} ON {kind} {name} FROM {role};",
            "warning",
        )
        for kind, name, role, privileges in found
    ]
    if len(public) > MAX_SINGLE:
        findings.append(Finding(f"PUBLIC has EXECUTE on {len(public)} routines of schema gaq", why, INSTALL, "warning"))
    return findings


def needed(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each role that is missing, and for each right that workers or readers lack."""
    findings = [
        Finding(f"role {role} does not exist", "its members have lost the rights of the role", INSTALL)
        for (role,) in connection.execute(_ROLES)
    ]
    missing = connection.execute(_NEEDED, (catalog.summaries_view(connection),)).fetchall()
    why = "workers or readers with this role fail"
    if len(missing) > MAX_SINGLE:
        roles = listed(sorted({role for role, *_ in missing}))
        return [*findings, Finding(f"{roles} lack {len(missing)} rights that they need", why, INSTALL)]
    for role, privilege, kind, name in missing:
        right = privilege if kind is None else f"{privilege} on {kind.lower()} {name}"
        fix = name if kind is None else f"GRANT {privilege} ON {kind} {name} TO {role};"
        findings.append(Finding(f"{role} lacks {right}", why, fix))
    return findings


def on_sources(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each source table that gaq_owner cannot read, or can write."""
    read = catalog.read_columns(connection)
    tables = sorted({*(column.table_oid for column in read), *catalog.marked_tables(connection)})
    oids, numbers = [column.table_oid for column in read], [column.number for column in read]
    unreadable = [
        Finding(
            f"gaq_owner cannot read {', '.join(columns)} of {table}",
            "workers cannot compute any summary",
            f"GRANT SELECT ON {table} TO gaq_owner;",
        )
        for table, columns in connection.execute(_UNREADABLE, (oids, numbers))
    ]
    writable = [
        Finding(
            f"gaq_owner may {privileges} on {table}",
            "gaq-listen never writes to a source table, so its owner does not need the right",
            f"REVOKE {privileges} ON {table} FROM gaq_owner; -- and from PUBLIC, or from a role that gaq_owner is in",
            "warning",
        )
        for table, privileges in connection.execute(_WRITABLE, (tables,))
    ]
    return unreadable + writable

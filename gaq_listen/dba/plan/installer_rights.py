"""Check whether the rights of the current role suffice for an installation."""

from gaq_listen.db.missing_rights import OPTIONS_SINCE
from gaq_listen.dba.manifest import ROLES
from gaq_listen.dba.owner_membership import OwnerMembership, inheriting_grant, owner_membership
from gaq_listen.dba.plan.plan_reader import PlanReader, Row

_ROLES = """
select array(select wanted from unnest(%(roles)s::text[]) wanted
             where not exists (select from pg_roles where rolname = wanted)) as missing,
       coalesce((select pg_has_role(worker.oid, reader.oid, 'usage') from pg_roles worker, pg_roles reader
                 where worker.rolname = 'gaq_worker' and reader.rolname = 'gaq_reader'), false) as worker_reads,
       coalesce((select pg_has_role(oid, 'member with admin option') from pg_roles where rolname = 'gaq_reader'), true)
           as administers_reader
"""

# The role need not be able to grant a right that PUBLIC, or an existing gaq_owner, has already.
_SCHEMA_RIGHTS = """
with grantee as (
    select coalesce((select rolname from pg_roles where rolname = 'gaq_owner'), 'public')::name as name
)
select bool_and(has_schema_privilege(s.oid, needed || ' with grant option')
                or has_schema_privilege(s.oid, needed) and has_schema_privilege(grantee.name, s.oid, needed))
           as suffices
from pg_namespace s, grantee, unnest(array['usage', 'create']) needed
where s.nspname = %(schema)s
"""

# An installation makes the role that installs a member of gaq_owner.
_OTHER_OWNERS = """
select distinct quote_ident(o.rolname) as name, o.rolinherit as inherits
from pg_catalog.pg_class c
join pg_catalog.pg_roles o on o.oid = c.relowner
where c.oid = any (%(tables)s) and not o.rolsuper and o.rolname <> current_user
  and coalesce((select not pg_has_role(o.oid, g.oid, 'usage') from pg_catalog.pg_roles g where g.rolname = 'gaq_owner'),
               true)
order by 1
"""

_OR_SUPERUSER = "or install as a superuser"


def check_role(reader: PlanReader, server: Row, tables: list[Row]) -> str:
    """Return the current role and whether its rights suffice, as words. Each missing right is an obstacle."""
    role, before = server["role"], reader.count_obstacles()
    if server["superuser"]:
        return f"{role}, a superuser: its rights suffice"
    if not server["creates_schemas"]:
        grant = f"GRANT CREATE ON DATABASE {server['database']} TO {server['quoted_role']}"
        reader.obstacle(
            f"{role} may not create a schema", "the installation creates schema gaq", f"{grant}; {_OR_SUPERUSER}"
        )
    _check_roles(reader, server)
    (rights,) = reader.ask(_SCHEMA_RIGHTS)
    if rights["suffices"] is False:
        grant = f"GRANT USAGE, CREATE ON SCHEMA {server['schema']} TO {server['quoted_role']} WITH GRANT OPTION"
        reader.obstacle(
            f"{role} may not create gaq_summaries in schema {server['schema']}",
            "the view gaq_summaries goes into the schema of the source tables",
            f"{grant}; {_OR_SUPERUSER}",
        )
    _check_tables(reader, server, tables)
    suffices = reader.count_obstacles() == before
    return f"{role}, no superuser: its rights {'suffice' if suffices else 'do not suffice'}"


def _check_tables(reader: PlanReader, server: Row, tables: list[Row]) -> None:
    role = server["role"]
    foreign = [row["quoted"] for row in tables if row["marked"] and not row["owned"]]
    if foreign:
        reader.obstacle(
            f"{role} does not own {', '.join(foreign)}",
            "only the owner of a table can create triggers that are always enabled",
            "install as the owner of the tables, or as a superuser",
        )
    withheld = [row["quoted"] for row in tables if not row["passes_select"] and row["quoted"] not in foreign]
    if withheld:
        grant = f"GRANT SELECT ON {', '.join(withheld)} TO {server['quoted_role']} WITH GRANT OPTION"
        reader.obstacle(
            f"{role} may not grant gaq_owner the right to read {', '.join(withheld)}",
            "workers read the source tables with the rights of gaq_owner",
            f"{grant}; {_OR_SUPERUSER}",
        )


def _check_roles(reader: PlanReader, server: Row) -> None:
    role, membership = server["role"], owner_membership(reader.connection)
    (roles,) = reader.ask(_ROLES, roles=ROLES)
    before_16 = server["number"] < OPTIONS_SINCE
    may_grant_reader = server["creates_roles"] if before_16 else roles["administers_reader"]
    may_create_roles = server["creates_roles"] or not roles["missing"]
    needs_more_than_grant = membership.is_member or membership.may_grant
    becomes_owner = membership.suffices or membership.installation_grants
    grants_reader = roles["worker_reads"] or may_grant_reader
    if not (may_create_roles and grants_reader and (becomes_owner or needs_more_than_grant)):
        _refuse_roles(reader, role, roles["missing"], membership)
    elif not becomes_owner:
        reader.obstacle(
            f"{role} {membership.lack}",
            "an installation acts as gaq_owner, and creates the triggers with rights that it inherits from gaq_owner",
            f"as a superuser, run: {membership.fix}; {_OR_SUPERUSER}",
        )


def _refuse_roles(reader: PlanReader, role: str, missing: list[str], membership: OwnerMembership) -> None:
    """Add an obstacle with the statements that create and grant what the installation cannot."""
    creates = [f"CREATE ROLE {name} NOLOGIN" for name in missing]
    with_options = " WITH INHERIT TRUE" if membership.server_version >= OPTIONS_SINCE else ""
    grants = [f"GRANT gaq_reader TO gaq_worker{with_options}"]
    if not membership.suffices:
        grants.append(membership.fix)
    reader.obstacle(
        f"{role} may not create or grant the roles {', '.join(ROLES)}",
        "gaq_owner owns schema gaq, and workers and readers get their rights from the other roles",
        f"as a superuser, run: {'; '.join(creates + grants)}; {_OR_SUPERUSER}",
    )


def advise_table_owners(reader: PlanReader, tables: list[Row]) -> None:
    """Add a finding for each owner of source tables who could not dump schema gaq."""
    for owner in reader.ask(_OTHER_OWNERS, tables=[row["oid"] for row in tables]):
        grant = inheriting_grant(owner["name"], reader.connection.info.server_version, owner["inherits"])
        reader.advise(
            f"{owner['name']} owns source tables, and is neither a superuser nor a member of gaq_owner that inherits",
            "the role cannot dump schema gaq with pg_dump, nor grant rights on gaq_summaries: GRANT ... ON ALL TABLES "
            "IN SCHEMA leaves gaq_summaries out",
            f"if the role should be able to, after the installation: {grant}",
        )

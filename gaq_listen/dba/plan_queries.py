"""What ``plan`` asks the server, and how it keeps what it learns. Everything reads."""

import re
from typing import Any, TypeAlias

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from gaq_listen.dba.plan_view import Obstacle
from gaq_listen.dba.scripts import script

Row: TypeAlias = dict[str, Any]


class PlanReader:
    """Asks about one source schema, and collects what is in the way and what is worth knowing."""

    def __init__(self, connection: Connection[TupleRow], schema: str) -> None:
        self.connection = connection
        self.blockers: list[Obstacle] = []
        self.warnings: list[Obstacle] = []
        self.misnamed: list[Obstacle] = []
        """Those in the way that are no obstacle if only names have changed: what is bound stays as it is then."""
        self.schema = schema

    def block(self, what: str, remedy: str) -> None:
        """Notes what an installation would fail at."""
        self.blockers.append(Obstacle(what, remedy))

    def block_name(self, what: str, remedy: str) -> None:
        """Note what an installation would fail at, unless it binds nothing anew because only names have changed."""
        self.block(what, remedy)
        self.misnamed.append(self.blockers[-1])

    def warn(self, what: str, remedy: str) -> None:
        """Notes what would not stop one."""
        self.warnings.append(Obstacle(what, remedy))

    def ask(self, query: str, **values: Any) -> list[Row]:
        """The answer to a query about catalogs."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), {"schema": self.schema, **values}).fetchall()

    def attempt(self, query: str, **values: Any) -> Any:
        """The one value from tables; None where a right or the table is missing, or the answer takes too long."""
        try:
            with self.connection.transaction():
                (row,) = self.connection.execute(query.encode(), values or None).fetchall()
                return row[0]
        except (psycopg.ProgrammingError, psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
            return None


SESSION = """
set transaction read only;
set local lock_timeout = '500ms';
set local statement_timeout = '10s';
set local search_path = pg_catalog;
"""

SERVER = """
select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
       quote_ident(current_database()) as database, current_user as role,
       quote_ident(current_user) as quoted_role, quote_ident(%(schema)s) as schema,
       exists (select from pg_namespace where nspname = %(schema)s) as schema_exists,
       pg_is_in_recovery() as standby, rolsuper as superuser, rolcreaterole as creates_roles,
       has_database_privilege(current_database(), 'create') as creates_schemas
from pg_roles
where rolname = current_user
"""

# Membership alone does not let one act as the role from PostgreSQL 16 on.
ROLES = """
select array(select wanted from unnest(%(roles)s::text[]) wanted
             where not exists (select from pg_roles where rolname = wanted)) as missing,
       coalesce((select pg_has_role(oid, %(membership)s) from pg_roles where rolname = 'gaq_owner'), false)
           as acts_as_owner,
       coalesce((select pg_has_role(worker.oid, reader.oid, 'member') from pg_roles worker, pg_roles reader
                 where worker.rolname = 'gaq_worker' and reader.rolname = 'gaq_reader'), false) as worker_reads,
       coalesce((select bool_and(pg_has_role(oid, 'member with admin option')) from pg_roles
                 where rolname in ('gaq_owner', 'gaq_reader')), true) as administers
"""

# A right that everybody has (or gaq_owner, once it exists) need not be passed on.
SCHEMA = """
with grantee as (
    select coalesce((select rolname from pg_roles where rolname = 'gaq_owner'), 'public')::name as name
)
select bool_and(has_schema_privilege(s.oid, needed || ' with grant option')
                or has_schema_privilege(s.oid, needed) and has_schema_privilege(grantee.name, s.oid, needed))
           as suffices
from pg_namespace s, grantee, unnest(array['usage', 'create']) needed
where s.nspname = %(schema)s
"""

# Whether there is a schema gaq, whose it is, and where its triggers are.
INSTALLED = """
select pg_get_userbyid(nspowner) as owner,
       pg_has_role(nspowner, 'usage') as owned,
       exists (select from pg_class where relnamespace = n.oid and relname = 'summaries') as ours,
       exists (select from pg_class where relnamespace = n.oid and relname = 'installation') as tells_version,
       array(select distinct quote_ident(s.nspname)
             from pg_trigger t
             join pg_proc f on f.oid = tgfoid
             join pg_class c on c.oid = tgrelid
             join pg_namespace s on s.oid = c.relnamespace
             where f.pronamespace = n.oid and tgparentid = 0 and c.relkind in ('r', 'p')) as schemas
from pg_namespace n
where nspname = 'gaq'
"""

VERSION = "select max(version) from gaq.installation"

SUMMARIES = """
select format('%%I.%%I', s.nspname, c.relname) as name,
       case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end as kind,
       exists (select from pg_trigger join pg_proc f on f.oid = tgfoid join pg_namespace g on g.oid = f.pronamespace
               where tgrelid = c.oid and g.nspname = 'gaq') as ours
from pg_class c
join pg_namespace s on s.oid = c.relnamespace
where s.nspname = %(schema)s and c.relname = 'gaq_summaries'
"""

# Each source table that is there, with all that is below it: partitions, inheritance children.
TABLES = """
with recursive family as (
    select c.oid as top, c.oid
    from pg_class c
    join pg_namespace s on s.oid = c.relnamespace
    where s.nspname = %(schema)s and c.relname = any(%(tables)s) and c.relkind in ('r', 'p', 'v', 'm', 'f')
    union
    select family.top, inhrelid from family join pg_inherits on inhparent = family.oid
)
select top.relname as name, format('%%I.%%I', %(schema)s, top.relname) as quoted, top.oid, top.relkind::text as kind,
       pg_has_role(top.relowner, 'usage') as owned,
       has_table_privilege(top.oid, 'select with grant option') as passes_select,
       top.relrowsecurity as secured,
       array_agg(family.oid) as family,
       sum(c.reltuples) filter (where c.reltuples >= 0 and c.relkind <> 'p')::bigint as rows
from family
join pg_class top on top.oid = family.top
join pg_class c on c.oid = family.oid
group by top.oid
"""

SIZE = "select pg_size_pretty(sum(pg_total_relation_size(member))) from unnest(%(family)s::oid[]) member"

WRITTEN = """
select sum(pg_stat_get_tuples_inserted(member) + pg_stat_get_tuples_updated(member)
           + pg_stat_get_tuples_deleted(member))::bigint as written
from unnest(%(family)s::oid[]) member
"""

COUNTED_SINCE = """
select stats_reset as since, date_part('epoch', clock_timestamp() - stats_reset) as seconds
from pg_stat_database where datname = current_database()
"""

VIRTUAL_COLUMNS = """
select quote_ident(attname) as name from pg_attribute
where attrelid = %(table)s and attgenerated = 'v' and attname = any(%(words)s)
"""

# A column that is missing or plain, with the type that it has or that what it is made of has.
GENERATED = """
select format('%%I.%%I', s.nspname, c.relname) as name, a.attname is not null as exists,
       coalesce(format_type(a.atttypid, a.atttypmod), made_of.type) as type
from pg_class c
join pg_namespace s on s.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attname = %(column)s and not a.attisdropped
cross join lateral (
    select min(format_type(atttypid, atttypmod)) as type
    from pg_attribute where attrelid = c.oid and attname = any(%(words)s) and not attisdropped
) made_of
where s.nspname = %(schema)s and c.relname = %(table)s and coalesce(a.attgenerated, '') = ''
"""

WRONG = "select count(*) from {name} where {column} is distinct from {expression}"

_UNFIT = re.compile(r"function gaq\.unfit_columns\(needs text\).+?as \$\$(.+?)\$\$", re.DOTALL)


def unfit_columns(connection: Connection[TupleRow], needs: str) -> list[str]:
    """Return a sentence for each source column whose type cannot be read, by the query that installations ask.

    ``needs``: a line "table.column: kind" for each. The tables are looked for along the search_path.
    """
    (query,) = _UNFIT.findall(script("15_marking"))
    query = query.replace("%", "%%").replace("(needs,", "(%s,")
    return [sentence for (sentence,) in connection.execute(query.encode(), (needs,))]


SOURCE_PATH = "select set_config('search_path', quote_ident(%(schema)s), true)"

# Sessions with locks on source tables that conflict with SHARE ROW EXCLUSIVE, or any on what is ours and replaced.
HOLDERS = """
select array_agg(format('%%s on %%s', l.mode, l.relation::regclass) order by l.relation, l.mode) as locks, l.pid,
       coalesce(a.usename, p.owner, a.backend_type) as "user", coalesce(a.application_name, p.gid, '') as application,
       a.state, date_part('epoch', clock_timestamp() - coalesce(a.xact_start, p.prepared)) as seconds,
       nullif(a.query, '<insufficient privilege>') as query
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
left join pg_prepared_xacts p on l.pid is null and l.virtualtransaction = '-1/' || p.transaction::text
where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.relation = any(%(tables)s) and l.mode in (
           'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
           'AccessExclusiveLock')
       or l.relation in (select c.oid from pg_class c join pg_namespace s on s.oid = c.relnamespace
                         where c.relkind in ('r', 'v')
                           and (s.nspname = 'gaq' or s.nspname = %(schema)s and c.relname = 'gaq_summaries')))
group by l.pid, l.virtualtransaction, a.usename, a.backend_type, a.application_name, a.state, a.xact_start, a.query,
         p.owner, p.gid, p.prepared
order by coalesce(a.xact_start, p.prepared), l.pid
"""

BACKFILL = "select count(*) from ({pairs}) p"

BACKFILL_REST = """
select count(*) from ({pairs}) p
where not exists (select from gaq.summaries s
                  where s.data_pass_id = p.data_pass_id and s.run_number = p.run_number and s.updated_at is not null)
  and not exists (select from gaq.invalidations i
                  where i.data_pass_id = p.data_pass_id and i.run_number = p.run_number)
"""

# An installation creates functions, views and triggers anew. It leaves a table as it is.
DIFFERENCES = """
select kind, name, case when after.kind is null then 'is missing, and would be created'
                        when before.kind is null then 'is not of the last installation'
                        when kind = 'table' then 'was altered, and would stay so'
                        else 'was altered, and would be created anew' end as what
from gaq.installed_objects before
full join gaq.objects() after using (kind, name)
where before.checksum is distinct from after.checksum
  and not (name ~ '^gaq\\.(source|as)_' and before.kind is not null and after.kind is not null
           and exists (select from gaq.renamed_sources()))
order by 1, 2
"""

"""Write the page of the SQL interface from the catalog of an installed database."""

from collections.abc import Iterator
from typing import Any

from psycopg import Connection

from docs.markdown import page, table

_RELATIONS = """
select format('%s%I', case when nspname = 'gaq' then 'gaq.' else '' end, relname),
       case relkind when 'v' then 'view' else 'table' end, coalesce(obj_description(c.oid, 'pg_class'), ''),
       array(select array[attname::text, format_type(atttypid, atttypmod), coalesce(col_description(c.oid, attnum), '')]
             from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped order by attnum)
from pg_class c
join pg_namespace n on n.oid = relnamespace
where (nspname = 'gaq' or relname = 'gaq_summaries') and relkind in ('r', 'v')
  and has_table_privilege('gaq_reader', c.oid, 'select')
order by nspname = 'gaq', relname
"""
ROUTINES = """
select format('gaq.%%I(%%s)', proname, pg_get_function_arguments(p.oid)),
       case when prokind = 'p' then 'procedure' else 'function' end, coalesce(obj_description(p.oid, 'pg_proc'), ''),
       coalesce(pg_get_function_result(p.oid), '')
from pg_proc p
where pronamespace = 'gaq'::regnamespace and has_function_privilege(%s::name, p.oid, 'execute')
  and not has_function_privilege(coalesce(%s, 'public')::name, p.oid, 'execute')
order by 1
"""
READER, WORKERS = ("gaq_reader", None), ("gaq_worker", "gaq_reader")


def relations_of(connection: Connection[Any]) -> list[Any]:
    """Return the tables and views that readers may read: name, kind, comment, columns."""
    return connection.execute(_RELATIONS).fetchall()


def relations(connection: Connection[Any]) -> Iterator[str]:
    """Yield the section of the tables and views that readers may read."""
    yield from ("## Tables and views, for `gaq_reader`", "")
    for name, kind, comment, columns in relations_of(connection):
        yield from (f"### {name}", "", f"{comment} ({kind})", "")
        yield from table(("column", "type", "meaning"), ((f"`{c[0]}`", c[1], c[2]) for c in columns))
        yield ""


def routines(title: str, connection: Connection[Any], roles: tuple[str, str | None]) -> Iterator[str]:
    """Yield a section of functions that the first role may execute, and the second may not."""
    yield from (f"## {title}", "")
    for signature, kind, comment, result in connection.execute(ROUTINES.encode(), roles).fetchall():
        name, _, arguments = signature.removesuffix(")").partition("(")
        yield from (f"### {name}", "", f"{comment} ({kind})", "")
        yield f"    {name}({arguments})" + (f"\n        returns {result}" if result else "")
        yield ""


def sql(connection: Connection[Any]) -> str:
    """Return the page of the SQL interface of an installed database."""
    return page(
        "SQL",
        """
        Other programs may use these objects. Everything else in schema `gaq` may change with any version.
        `gaq_worker` inherits all rights of `gaq_reader`.
        The channel `gaq_refreshed` announces refreshed pairs as JSON: `[[data_pass_id, run_number], …]`.
        """,
        relations(connection),
        routines("Functions for `gaq_reader`", connection, READER),
        routines("Functions for `gaq_worker`", connection, WORKERS),
    )

"""Find out which server an installation would use: its version, its role, and a pooler in front of it."""

from gaq_listen.dba.plan.plan_reader import PlanReader, Row

OLDEST_SERVER = 140000
"""``server_version_num`` of the first PostgreSQL that gaq-listen supports."""

_SERVER = """
select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
       quote_ident(current_database()) as database, current_user as role,
       quote_ident(current_user) as quoted_role, quote_ident(%(schema)s) as schema,
       exists (select from pg_namespace where nspname = %(schema)s) as schema_exists,
       pg_is_in_recovery() as standby, rolsuper as superuser, rolcreaterole as creates_roles,
       has_database_privilege(current_database(), 'create') as creates_schemas
from pg_roles
where rolname = current_user
"""


def server_facts(reader: PlanReader) -> Row:
    """Return facts about the server and the current role. An unsupported version or a standby is an obstacle."""
    (server,) = reader.ask(_SERVER)
    if not is_supported(server):
        what = f"PostgreSQL {server['version']} is too old"
        reader.obstacle(what, "gaq-listen needs multiranges", "upgrade the server to PostgreSQL 14 or later")
    elif server["standby"]:
        reader.obstacle(
            "this server is a standby",
            "nobody can write to a standby",
            "install on its primary; replication brings the installation to the standby",
        )
    return server


def is_supported(server: Row) -> bool:
    """Return whether gaq-listen supports the version of the server."""
    return bool(server["number"] >= OLDEST_SERVER)


def find_pooler(reader: PlanReader) -> str:
    """Return which pooler is between this program and the server, as words.

    The function executes several statements outside a transaction, and compares the backends that answer.
    """
    answers = [reader.connection.execute("select pg_backend_pid()").fetchall() for _ in range(3)]
    backends = {rows[0][0] for rows in answers}
    why = "settings of the installation would leak into other sessions, and a worker's LISTEN needs its own session"
    if len(backends) > 1:
        what = "a pooler gives each transaction to another backend"
        reader.obstacle(what, why, "connect to PostgreSQL itself")
        return "one, in transaction or statement mode"
    if backends != {reader.connection.info.backend_pid}:
        what = "a pooler or proxy is between this program and PostgreSQL, in an unknown mode"
        fix = "connect to PostgreSQL itself, unless the pooler is in session mode"
        reader.advise(what, f"if it is not in session mode, {why}", fix, "warning")
        return "one, in an unknown mode"
    return "none found"

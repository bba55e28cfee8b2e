"""Find out what is installed already, and whether an installation would replace, upgrade or complete it."""

from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.dba import catalog
from gaq_listen.dba.indexes import quoted
from gaq_listen.dba.plan.plan_reader import PlanReader, Row

_SUMMARIES = """
select format('%%I.%%I', s.nspname, c.relname) as name, c.oid,
       case c.relkind when 'v' then 'view' when 'm' then 'materialized view' else 'table' end as kind
from pg_class c
join pg_namespace s on s.oid = c.relnamespace
where s.nspname = %(schema)s and c.relname = 'gaq_summaries'
"""

_SCHEMA_GAQ = """
select pg_get_userbyid(nspowner) as owner,
       pg_has_role(nspowner, 'usage') as owned,
       exists (select from pg_class where relnamespace = n.oid and relname = 'summaries') as ours,
       exists (select from pg_class where relnamespace = n.oid and relname = 'installation') as records_version
from pg_namespace n
where nspname = 'gaq'
"""

_VERSION = "select max(version) from gaq.installation"


def installed_version(reader: PlanReader, server: Row) -> tuple[str, bool]:
    """Return a sentence about what is installed, and whether gaq-listen is installed."""
    _check_gaq_summaries(reader)
    schemas = reader.ask(_SCHEMA_GAQ)
    if not schemas:
        return f"Not installed. This would be a fresh installation of version {SQL_VERSION}.", False
    (schema,) = schemas
    if not schema["ours"]:
        reader.obstacle(
            "a schema gaq exists that is not gaq-listen's",
            "gaq-listen needs a schema of that name",
            "rename the schema: ALTER SCHEMA gaq RENAME TO ...",
        )
        return "Not installed, but a schema gaq exists that is not gaq-listen's.", False
    if not schema["owned"] and schema["owner"] != "gaq_owner":
        owner = schema["owner"]
        reader.obstacle(
            f"schema gaq belongs to {owner}",
            "only its owner can replace what it contains",
            f"install as {owner}, or as a superuser",
        )
    _check_source_schema(reader)
    version = reader.attempt(_VERSION) if schema["records_version"] else None
    if not schema["records_version"] and schema["owner"] != "gaq_owner":
        version = 1  # which did not record its version
    if schema["records_version"] and version is None and not schema["owned"]:
        return f"Installed, in a version that {server['role']} cannot read.", True
    return _describe(reader, version), True


def _describe(reader: PlanReader, version: int | None) -> str:
    if version is None:
        return f"An installation that was interrupted. This would complete it, with version {SQL_VERSION}."
    if version > SQL_VERSION:
        reader.obstacle(
            f"version {version} is newer than version {SQL_VERSION} of this program",
            "an installation would replace the newer version by an older one",
            "upgrade this program",
        )
        return f"Version {version}."
    if version < SQL_VERSION:
        return f"Version {version}. This would upgrade it to version {SQL_VERSION}, and keep summaries and marks."
    return f"Version {version}. This would apply it again, fix what differs, and keep summaries and marks."


def _check_gaq_summaries(reader: PlanReader) -> None:
    """Add an obstacle if a view gaq_summaries exists that is not ours. ``legacy_plan`` examines a table."""
    ours = {trigger.table_oid for trigger in catalog.our_triggers(reader.connection)}
    for relation in reader.ask(_SUMMARIES):
        if relation["oid"] not in ours and relation["kind"] != "table":
            kind, name = relation["kind"], relation["name"]
            reader.obstacle(
                f"a {kind} {name} exists that is not gaq-listen's",
                "gaq-listen needs a view of that name",
                f"rename the {kind}: ALTER {kind.upper()} {name} RENAME TO ...",
            )


def _check_source_schema(reader: PlanReader) -> None:
    """Add an obstacle if the installed triggers are on tables of other schemas."""
    schemas = catalog.source_schemas(reader.connection)
    if schemas not in ([], [reader.schema]):
        reader.naming_obstacle(
            f"the installed triggers are in schema {', '.join(map(quoted, schemas))}",
            "an installation keeps to the source tables of the first one",
            "name that schema: --source-schema",
        )

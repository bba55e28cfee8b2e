"""Select the sources file, the one SQL file that names source tables, of an installation."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba import catalog
from gaq_listen.dba.scripts import INSTALL_SCRIPTS, SESSION, Step, divided, names, script, steps
from gaq_listen.errors import GaqListenError, UnknownName
from gaq_listen.wording import listed

REFERENCE = "reference"
"""Name of the default sources."""

SCHEMA = "public"
"""Default schema of the source tables."""

_SCRIPT = "20_sources"
"""Script of the reference. Another sources file replaces it."""
_OTHERS = "sources_"
"""Beginning of the names of the other sources files."""
_NAME = re.compile(r"gaq\.use_sources\('(\w+)'\)")
_CREATED = re.compile(r"create or replace (?:view|function) (gaq\.source_\w+)", flags=re.IGNORECASE)
_OPTIONAL = "gaq.source_outdated_periods"
"""View that a sources file may lack."""

# Every role can read the catalogs, also one without a right in schema gaq. Version 1 had only the reference.
_USED = """
select (select pg_get_functiondef(p.oid) from pg_catalog.pg_proc p
        where p.pronamespace = n.oid and proname = 'sources'),
       exists (select from pg_catalog.pg_class where relnamespace = n.oid and relname = 'source_pairs')
from pg_catalog.pg_namespace n
where nspname = 'gaq'
"""


# While gaq-listen is detached, it has no triggers, and only this record has the schema.
_CAN_READ_BINDINGS = """
select coalesce(bool_and(has_table_privilege(c.oid, 'SELECT')), false) from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = relnamespace
where nspname = 'gaq' and relname = 'bindings' and has_schema_privilege(n.oid, 'USAGE')
"""


@dataclass(frozen=True, slots=True)
class Sources:
    """A sources file."""

    name: str
    """The name in the file's call of gaq.use_sources."""
    file: str
    """Name of the file without its ending."""
    text: str

    def scripts(self) -> tuple[str, ...]:
        """Return the names of the scripts of an installation with these sources, in order."""
        return tuple(self.file if name == _SCRIPT else name for name in INSTALL_SCRIPTS)

    def steps(self) -> Iterator[Step]:
        """Yield the transactions of an installation with these sources."""
        for name in INSTALL_SCRIPTS:
            yield from divided(self.file, self.text) if name == _SCRIPT else steps(name)


@cache
def shipped() -> dict[str, Sources]:
    """Return the sources that the program contains, by name."""
    files = [name for name in names() if name == _SCRIPT or name.startswith(_OTHERS)]
    return {found.name: found for found in (_read(name, script(name)) for name in files)}


def named(given: str) -> Sources:
    """Return the sources of this name, or of the SQL file with this path.

    Raises:
        UnknownName: No sources have this name, the file does not exist, the file does not call gaq.use_sources, or it
            lacks a view or function that all sources files create.
    """
    if given in shipped():
        return shipped()[given]
    path = Path(given)
    if path.suffix != ".sql" or not path.is_file():
        known = ", ".join(shipped())
        raise UnknownName(f"no sources are called {given!r}; use one of {known}, or the path of a .sql file")
    found = _read(path.stem, path.read_text(encoding="utf-8"))
    if missing := _creates(shipped()[REFERENCE]) - _creates(found) - {_OPTIONAL}:
        raise UnknownName(
            f"{path.name} does not create {listed(sorted(missing))}; docs/guides/dba.md says what such a file creates"
        )
    return found


def used(connection: Connection[TupleRow]) -> str | None:
    """Return the name of the sources of the last installation, or None if nothing is installed."""
    for definition, has_sources in connection.execute(_USED).fetchall():
        if definition and (found := re.search(r"RETURN '(\w+)'", definition)):
            return found[1]
        return REFERENCE if has_sources else None
    return None


def schema(connection: Connection[TupleRow], given: str | None) -> str:
    """Return the given schema of the source tables; else that of the last installation; else ``public``."""
    if given is not None:
        return given
    if schemas := catalog.source_schemas(connection):
        return schemas[0]
    if connection.execute(_CAN_READ_BINDINGS).fetchall() == [(True,)]:
        ((recorded,),) = connection.execute("select min(schema_name) from gaq.bindings").fetchall()
        return recorded or SCHEMA
    return SCHEMA


def chosen(connection: Connection[TupleRow], given: str | None) -> Sources:
    """Return the given sources. They must match the installed ones, which are the default.

    Raises:
        GaqListenError: The database was installed with other sources, or with a file that the program does not contain.
        UnknownName: No sources have the given name.
    """
    before = used(connection)
    if given is None:
        if before is not None and before not in shipped():
            raise GaqListenError(
                f"this database was installed with the sources {before!r}, a file of your own: name it with --sources"
            )
        return shipped()[before or REFERENCE]
    sources = named(given)
    if before not in (None, sources.name):
        raise GaqListenError(
            f"this database was installed with the sources {before!r}, not {sources.name!r}: "
            "omit --sources to keep them; to change to other sources, run gaq-listen uninstall first"
        )
    return sources


def installation(sources: Sources, source_schema: str = SCHEMA) -> str:
    """Return one script for psql that installs the same as ``gaq-listen install``, each step in a transaction."""
    schema = source_schema.replace("'", "''")
    parts = [
        "-- The whole installation of gaq-listen, for psql. You can apply it again.",
        "\\set ON_ERROR_STOP on",
        script(SESSION),
        f"set gaq.source_schema = '{schema}';",
    ]
    parts += [f"\n-- {step.title}\nbegin;\n{step.text}commit;" for step in sources.steps()]
    return "\n".join(parts) + "\n"


def _creates(sources: Sources) -> set[str]:
    """Return the names of the views and functions through which all other SQL reads the source tables."""
    return set(_CREATED.findall(sources.text))


def _read(file: str, text: str) -> Sources:
    name = _NAME.search(text)
    if not name:
        raise UnknownName(f"{file}.sql does not name its sources: it needs a line with gaq.use_sources('NAME')")
    return Sources(name[1], file, text)

"""The sources file: which SQL file stands for the source tables, and which one an installation was made with."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.scripts import INSTALL_SCRIPTS, SESSION, Step, divided, names, script, steps
from gaq_listen.errors import GaqListenError, UnknownName

REFERENCE = "reference"
"""The name of the sources that are taken when nothing else is said."""

SCHEMA = "public"
"""The schema that the source tables are in when nothing else is said."""

_SCRIPT = "20_sources"
_OTHERS = "sources_"
_NAME = re.compile(r"gaq\.use_sources\('(\w+)'\)")

# From catalogs alone: whoever may read nothing of schema gaq can tell as well. Version 1 knew one shape only.
_USED = """
select (select pg_get_functiondef(p.oid) from pg_catalog.pg_proc p
        where p.pronamespace = n.oid and proname = 'sources'),
       exists (select from pg_catalog.pg_class where relnamespace = n.oid and relname = 'source_pairs')
from pg_catalog.pg_namespace n
where nspname = 'gaq'
"""


# As in 04_schema.sql, which refuses any other.
_SCHEMA = """
select min(nspname) from pg_catalog.pg_trigger t
join pg_catalog.pg_proc f on f.oid = tgfoid
join pg_catalog.pg_class c on c.oid = tgrelid
join pg_catalog.pg_namespace s on s.oid = c.relnamespace
where f.pronamespace = to_regnamespace('gaq') and tgparentid = 0 and c.relkind in ('r', 'p')
  and not exists (select from pg_catalog.pg_inherits where inhrelid = c.oid)
"""

# While gaq-listen is detached, it has no triggers.
_RECORDS = """
select coalesce(bool_and(has_table_privilege(oid, 'SELECT')), false) from pg_catalog.pg_class
where oid = to_regclass('gaq.bindings') and has_schema_privilege(relnamespace, 'USAGE')
"""


@dataclass(frozen=True, slots=True)
class Sources:
    """A sources file: the name that it says in its text, the name of the file without its ending, and the text."""

    name: str
    file: str
    text: str

    def scripts(self) -> tuple[str, ...]:
        """The names of the files of an installation with them, in order."""
        return tuple(self.file if name == _SCRIPT else name for name in INSTALL_SCRIPTS)

    def steps(self) -> Iterator[Step]:
        """The transactions of an installation with them."""
        for name in INSTALL_SCRIPTS:
            yield from divided(self.file, self.text) if name == _SCRIPT else steps(name)


@cache
def shipped() -> dict[str, Sources]:
    """Those that come with the program, by their name."""
    files = [name for name in names() if name == _SCRIPT or name.startswith(_OTHERS)]
    return {found.name: found for found in (_read(name, script(name)) for name in files)}


def named(given: str) -> Sources:
    """Those of that name, or of a SQL file with that path.

    Raises:
        UnknownName: there are none of that name, no such file, or the file does not say its name.
    """
    if given in shipped():
        return shipped()[given]
    path = Path(given)
    if path.suffix != ".sql" or not path.is_file():
        known = ", ".join(shipped())
        raise UnknownName(f"no sources are called {given!r}; there are: {known}; or name a .sql file of your own")
    return _read(path.stem, path.read_text(encoding="utf-8"))


def used(connection: Connection[TupleRow]) -> str | None:
    """The name of the sources that the database was installed with; None where nothing is installed."""
    for definition, has_sources in connection.execute(_USED).fetchall():
        if definition and (found := re.search(r"RETURN '(\w+)'", definition)):
            return found[1]
        return REFERENCE if has_sources else None
    return None


def schema(connection: Connection[TupleRow], given: str | None) -> str:
    """Return the schema of the source tables: the one given; else the one that is installed; else ``public``."""
    if given is not None:
        return given
    ((used,),) = connection.execute(_SCHEMA).fetchall()
    if used is None and connection.execute(_RECORDS).fetchall() == [(True,)]:
        ((used,),) = connection.execute("select min(schema_name) from gaq.bindings").fetchall()
    return used or SCHEMA


def chosen(connection: Connection[TupleRow], given: str | None) -> Sources:
    """Those that are given, if they are those that the database was installed with; and these, if none are given.

    Raises:
        GaqListenError: it was installed with others, or with a file that does not come with the program.
    """
    before = used(connection)
    if given is None:
        if before is not None and before not in shipped():
            raise GaqListenError(
                f"this database was installed with the sources {before!r}, a file of yours: name it, --sources FILE.sql"
            )
        return shipped()[before or REFERENCE]
    sources = named(given)
    if before not in (None, sources.name):
        raise GaqListenError(
            f"this database was installed with the sources {before!r}, not {sources.name!r}: "
            "leave --sources out to keep to them; others can be had after gaq-listen uninstall"
        )
    return sources


def installation(sources: Sources, source_schema: str = SCHEMA) -> str:
    """One script for psql that installs everything as ``gaq-listen install`` does, a transaction a step."""
    schema = source_schema.replace("'", "''")
    parts = [
        "-- gaq-listen: the whole installation, for psql. It can be applied again.",
        "\\set ON_ERROR_STOP on",
        script(SESSION),
        f"set gaq.source_schema = '{schema}';",
    ]
    parts += [f"\n-- {step.title}\nbegin;\n{step.text}commit;" for step in sources.steps()]
    return "\n".join(parts) + "\n"


def _read(file: str, text: str) -> Sources:
    name = _NAME.search(text)
    if not name:
        raise UnknownName(f"{file}.sql does not say its name: it needs a line with gaq.use_sources('NAME')")
    return Sources(name[1], file, text)

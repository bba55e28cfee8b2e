"""Whether gaq-listen still reads the tables and columns that it was installed for: one question, asked by everybody."""

from collections.abc import Iterable

from psycopg import Connection
from psycopg.rows import TupleRow

SOURCE_CHANGES = "select kind, what from gaq.source_changes()"
"""A kind and a sentence for each thing that makes values wrong unseen."""

FIX = "gaq-listen install"
"""The command that puts each of them right: it binds anew, and marks everything."""

DETACHED = "detached"
TRIGGER = "trigger"


def source_changes(connection: Connection[TupleRow]) -> list[tuple[str, str]]:
    """Return the kind and the sentence of each change."""
    return [(kind, what) for kind, what in connection.execute(SOURCE_CHANGES).fetchall()]


_KEPT = """
select (select version from gaq.installation) = %s
       and exists (select from gaq.renamed_sources())
       and not exists (select from gaq.source_changes())
"""


def is_rename_only(connection: Connection[TupleRow], version: int) -> bool:
    """Return whether tables or columns only have other names: then an installation of that version binds nothing anew.

    What is bound follows a rename, and a sources file, which has the names of before, would find nothing.
    """
    if connection.execute("select to_regprocedure('gaq.renamed_sources()') is null").fetchall() == [(True,)]:
        return False
    return connection.execute(_KEPT, (version,)).fetchall() == [(True,)]


def alarm(what: Iterable[str]) -> str:
    """Return all sentences as one, with the command that puts them right."""
    return f"{'; '.join(what)}; run: {FIX}"

"""Find data passes by name or id."""

from collections.abc import Sequence
from difflib import get_close_matches

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.errors import UnknownName

_FIND = """
select id, name from gaq.source_data_passes
where name = %(wanted)s or id::text = %(wanted)s
order by name = %(wanted)s desc limit 1
"""
_NAMES = "select name from gaq.source_data_passes order by name"
_STARTING = "select name from gaq.source_data_passes where starts_with(name, %s) order by name limit 100"


def find_data_pass(connection: Connection[TupleRow], wanted: str) -> tuple[int, str]:
    """Return id and name of the data pass with this name, or else with this id.

    Raises:
        UnknownName: no data pass has this name or id. The message suggests similar names.
    """
    found = connection.execute(_FIND, {"wanted": wanted}).fetchone()
    if found is None:
        known = [name for (name,) in connection.execute(_NAMES).fetchall()]
        raise UnknownName(f"no data pass has the name or id {wanted!r}{suggestion(wanted, known)}")
    return int(found[0]), str(found[1])


def starting_with(connection: Connection[TupleRow], beginning: str) -> list[str]:
    """Return names of data passes that start with ``beginning``, for the completion of a shell."""
    return [name for (name,) in connection.execute(_STARTING, (beginning,)).fetchall()]


def suggestion(wanted: str, known: Sequence[str]) -> str:
    """Return ``; did you mean 'LHC22o_apass7'?``, or an empty text if no known name is similar."""
    by_lower = {name.lower(): name for name in known}
    alike = get_close_matches(wanted.lower(), by_lower, n=3)
    if not alike:
        return ""
    return f"; did you mean {' or '.join(repr(by_lower[name]) for name in alike)}?"

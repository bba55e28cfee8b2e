"""Functions of schema gaq, with a piece of their text replaced: mutants that tests must catch."""

from __future__ import annotations

from typing import Any

from psycopg import Connection


def replaced(text: str, *changes: tuple[str, str]) -> str:
    """The text with each of the changes, (old, new) made: there must be one place for it."""
    for old, new in changes:
        assert text.count(old) == 1, f"{text.count(old)} times in the text:\n{old}"
        text = text.replace(old, new)
    return text


def alter(connection: Connection[Any], function: str, *changes: tuple[str, str]) -> None:
    """Replaces pieces of the function, named as for ``regproc``, where it is installed."""
    row = connection.execute("SELECT pg_get_functiondef(%s::regproc)", [function]).fetchone()
    assert row is not None
    connection.execute(replaced(row[0], *changes).encode())

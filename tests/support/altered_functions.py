"""Replace pieces of functions of schema gaq, to make the mutants that tests must catch."""

from __future__ import annotations

from typing import Any

from psycopg import Connection


def replaced(text: str, *changes: tuple[str, str]) -> str:
    """Return the text after the changes (old, new). Each old piece must occur exactly once."""
    for old, new in changes:
        assert text.count(old) == 1, f"{text.count(old)} times in the text:\n{old}"
        text = text.replace(old, new)
    return text


def alter(connection: Connection[Any], function: str, *changes: tuple[str, str]) -> None:
    """Replace pieces of an installed function, whose name is that of ``regproc``."""
    row = connection.execute("SELECT pg_get_functiondef(%s::regproc)", [function]).fetchone()
    assert row is not None
    connection.execute(replaced(row[0], *changes).encode())

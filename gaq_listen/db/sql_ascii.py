"""Read text from a database that has no encoding."""

import json
from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.json import set_json_loads

_UNKNOWN = 705
_TEXT_TYPES = ("text", "varchar", "bpchar", "name", _UNKNOWN)


class _AnyText(Loader):
    """Load text. Bytes that are not UTF-8 become U+FFFD."""

    def load(self, data: Buffer) -> str:
        """Return the text."""
        return bytes(data).decode("utf-8", "replace")


def read_any_text(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    """Let a connection read text from a SQL_ASCII database, whose server returns any bytes.

    The encoding of the client must be SQL_ASCII, too. With UTF8, the server would refuse bytes that are not UTF-8.
    """
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        for name in _TEXT_TYPES:
            connection.adapters.register_loader(name, _AnyText)
        set_json_loads(lambda data: json.loads(_decoded(data)), connection)


def _decoded(data: str | bytes) -> str:
    return data if isinstance(data, str) else data.decode("utf-8", "replace")

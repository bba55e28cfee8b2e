"""Text that is not UTF-8: read from a database that has no encoding, and written to an output that has another."""

import codecs
import io
import json
import sys
from typing import Any, TextIO

from psycopg import AsyncConnection, Connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.json import set_json_loads

_UNKNOWN = 705
_TEXT_TYPES = ("text", "varchar", "bpchar", "name", _UNKNOWN)


class _AnyText(Loader):
    """Reads bytes that need not be UTF-8: those that are not become U+FFFD."""

    def load(self, data: Buffer) -> str:
        """Return the text."""
        return bytes(data).decode("utf-8", "replace")


def read_any_text(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    """Let a connection read what a SQL_ASCII database holds: that server knows no encoding, and hands over any bytes.

    The client's encoding must be SQL_ASCII, too, or the server refuses what is not UTF-8.
    """
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        for name in _TEXT_TYPES:
            connection.adapters.register_loader(name, _AnyText)
        set_json_loads(lambda data: json.loads(_decoded(data)), connection)


def _decoded(data: str | bytes) -> str:
    return data if isinstance(data, str) else data.decode("utf-8", "replace")


_STAND_INS = {
    "-": "─━╌\u2013\u2014",
    "|": "│┃",
    "+": "╭╮╰╯┌┐└┘├┤┬┴┼",
    ":": "▒░",
    "#": "█▓▇▆",
    "=": "▅▄",
    "_": "▃▂▁",
    ".": "·…",
    ">": "→≥",
    "<": "←≤",
    "x": "\u00d7",
    "!": "≠",
    "'": "\u2018\u2019\u201c\u201d",
}
"""What is written for characters that an output lacks: one for one, so that columns stay where they are."""
_PLAIN = {ord(character): plain for plain, characters in _STAND_INS.items() for character in characters}
_HANDLER = "gaq_listen.plainly"


def _plainly(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = error.object[error.start : error.end].translate(_PLAIN)
    # What has no stand-in is written as JSON does, so that who reads JSON gets it back.
    return json.dumps(plain)[1:-1], error.end


def write_anywhere(*streams: TextIO) -> None:
    """Let these streams, or stdout and stderr, write what their encoding lacks in plain characters, and not fail."""
    codecs.register_error(_HANDLER, _plainly)
    for stream in streams or (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)

"""Write text to an output whose encoding lacks some of its characters."""

import codecs
import io
import json
import sys
from typing import TextIO

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

"""Write text to an output whose encoding lacks some characters of the text."""

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
"""Stand-ins for characters that an output lacks. Each is one character wide, so that columns stay aligned."""
_PLAIN = {ord(character): plain for plain, characters in _STAND_INS.items() for character in characters}
_HANDLER = "gaq_listen.stand_ins"


def _encode_stand_ins(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    plain = error.object[error.start : error.end].translate(_PLAIN)
    # A character without a stand-in is written as JSON does, so that readers of JSON get it back.
    return json.dumps(plain)[1:-1], error.end


def write_anywhere(*streams: TextIO) -> None:
    """Make streams, by default stdout and stderr, write stand-ins for characters that their encoding lacks."""
    codecs.register_error(_HANDLER, _encode_stand_ins)
    for stream in streams or (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)

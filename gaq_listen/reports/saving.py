"""Writes what is shown to a file that can be sent to somebody: an SVG, HTML or text."""

import io
import re
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, RenderableType

from gaq_listen.errors import GaqListenError

SUFFIXES = (".svg", ".html", ".txt")
WIDTH = 100
"""Columns."""

# Whoever opens the picture fetches nothing: a font that is there will do.
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def save(path: Path, render: Callable[[int], RenderableType], title: str) -> None:
    """Writes what ``render`` makes for a width, in the form that the file's ending says.

    Raises:
        GaqListenError: the file cannot be written.
    """
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(render(WIDTH))
    write(path, exported(console, path.suffix, title))


def write(path: Path, text: str) -> None:
    """Write a text to a file.

    Raises:
        GaqListenError: the file cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GaqListenError(f"cannot write {path}: {error.strerror}") from error


def exported(console: Console, suffix: str, title: str) -> str:
    """What a recording console has shown, as ``.svg``, ``.html`` or ``.txt``."""
    match suffix:
        case ".svg":
            return _FONTS.sub("", console.export_svg(title=title, unique_id="gaq-listen"))
        case ".html":
            return console.export_html()
        case _:
            return console.export_text()

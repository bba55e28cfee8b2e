"""Write reports to files: SVG, HTML or text."""

import io
import re
from collections.abc import Callable
from pathlib import Path

from rich.console import Console, RenderableType

from gaq_listen.errors import GaqListenError

SUFFIXES = (".svg", ".html", ".txt")
"""The endings of the files that ``save`` can write."""
WIDTH = 100
"""Columns of a saved report."""

# An SVG of rich names web fonts. Without them, a viewer uses a font that it has and fetches nothing.
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def save(path: Path, render: Callable[[int], RenderableType], title: str) -> None:
    """Write what ``render`` returns for a width, in the format of the ending of the file.

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
    """Return what a recording console has shown, in the format of ``.svg``, ``.html`` or ``.txt``."""
    match suffix:
        case ".svg":
            return _FONTS.sub("", console.export_svg(title=title, unique_id="gaq-listen"))
        case ".html":
            return console.export_html()
        case _:
            return console.export_text()

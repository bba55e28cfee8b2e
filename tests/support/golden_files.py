"""Compare text that is rendered at fixed sizes with golden files.

``GAQ_LISTEN_GOLDEN=write make test ARGS="tests/observers tests/reports"`` writes the files again. Read their diff.
"""

import os
from pathlib import Path

from rich.cells import cell_len

SIZES = ((80, 24), (120, 40), (40, 12))
"""Sizes of a terminal, in columns and lines."""
DIRECTORY = Path(__file__).parents[1] / "reports" / "golden"


def check(name: str, size: tuple[int, int], shown: str, whole: bool = False) -> None:
    """Compare the last lines that fit on the screen with the golden file. With ``whole``, compare all lines."""
    width, height = size
    lines = [line.rstrip() for line in shown.splitlines()]
    assert all(cell_len(line) <= width for line in lines)
    shown = "\n".join(lines if whole else lines[-height:]) + "\n"
    assert shown.replace("\n", "").isprintable()
    path = DIRECTORY / f"{name}-{width}x{height}.txt"
    if os.environ.get("GAQ_LISTEN_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown, encoding="utf-8")
    assert shown == path.read_text(encoding="utf-8")

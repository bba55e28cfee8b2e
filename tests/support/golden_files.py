"""What is rendered at a fixed size, held against files in ``golden/`` beside the tests.

Rewrite them with ``GAQ_LISTEN_GOLDEN=write pytest tests/observers tests/reports``, then read their diff.
"""

import os
from pathlib import Path

from rich.cells import cell_len

SIZES = ((80, 24), (120, 40), (40, 12))
"""Columns and lines."""
DIRECTORY = Path(__file__).parents[1] / "reports" / "golden"


def check(name: str, size: tuple[int, int], shown: str, whole: bool = False) -> None:
    """Compares it with the file of that name and size; what fits on no screen is compared ``whole``."""
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

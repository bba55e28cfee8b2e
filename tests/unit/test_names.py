"""The names of modules and classes are unique in the package, and the code map leads to every module."""

import ast
from collections import Counter
from pathlib import Path

PROJECT = Path(__file__).parents[2]
MODULES = [path for path in sorted((PROJECT / "gaq_listen").rglob("*.py")) if not path.stem.startswith("__")]


def more_than_once(names: list[str]) -> list[str]:
    return sorted(name for name, times in Counter(names).items() if times > 1)


def test_no_two_modules_share_a_name() -> None:
    """A module may have the name of its package: ``gaq_listen/worker/worker.py``."""
    assert more_than_once([path.stem for path in MODULES]) == []


def test_no_two_public_classes_share_a_name() -> None:
    classes = [
        node.name
        for path in MODULES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert more_than_once(classes) == []


def test_code_map_has_every_module() -> None:
    """The code map is in ``docs/architecture.md``, and ``docs/reference/modules.md`` continues it."""
    pages = ("architecture.md", "reference/modules.md")
    code_map = "".join((PROJECT / "docs" / page).read_text(encoding="utf-8") for page in pages)
    assert [path for path in MODULES if f"`{path.relative_to(PROJECT)}`" not in code_map] == []

"""Write the page of the modules: the first sentence of each module's docstring."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs.markdown import page, table

PACKAGE = Path(__file__).parents[1] / "gaq_listen"


def modules() -> str:
    """Return the page of the modules of the package."""
    return page(
        "Modules",
        """
        Each package of `gaq_listen` with its modules.
        The text is the first sentence of the docstring of the module.
        [The code map](../architecture.md#the-code-map) says how the packages depend on each other.
        """,
        *(_package(path.parent) for path in sorted(PACKAGE.rglob("__init__.py"), key=lambda path: path.parent)),
    )


def _package(directory: Path) -> Iterator[str]:
    name = directory.relative_to(PACKAGE.parent)
    yield from (f"## {name}", "", first_sentence(directory / "__init__.py"), "")
    paths = [path for path in sorted(directory.glob("*.py")) if path.name != "__init__.py"]
    yield from table(("module", "what it does"), ((f"`{name}/{path.name}`", first_sentence(path)) for path in paths))


def first_sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring as Markdown.

    Raises:
        ValueError: the module has no docstring.
    """
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not docstring:
        raise ValueError(f"{path} has no docstring")
    paragraph = re.sub(r"\s+", " ", docstring.split("\n\n")[0]).replace("``", "`")
    return re.split(r"(?<=[.!?]) (?=[A-Z`])|::(?= |$)", paragraph)[0]

"""Check the pages that people write: the files and links that they name, their layout, their definitions."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "tests").rglob("*.md"))
    if path.name != "CHANGELOG.md"
)
ARCHITECTURE = PROJECT / "docs" / "architecture.md"
WRITTEN = [path for path in PAGES if path.parent.name != "reference"]
"""The pages that people write."""

_FILE = re.compile(r"`((?:gaq_listen|sql|tests|benchmarks|docs|\.ci)/[\w./-]+\.\w+)`")
_NO_FILE = re.compile(r"benchmarks/results/|NAME|_N\.")
"""Results, which only ``make bench`` writes, and names that stand for any."""
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")
_TWO_SENTENCES = re.compile(r"\w\w[)*\"]*[.!?][)*\"]* [A-Z*(\[`]")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def named(page: Path) -> set[str]:
    """Return the files that a page names as code."""
    return {name for name in _FILE.findall(page.read_text()) if not _NO_FILE.search(name)}


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def prose(page: Path) -> Iterator[str]:
    """Yield the lines of a page without tables, code, comments and pictures."""
    for line in page.read_text().splitlines():
        if not line.startswith(("    ", "|", "<!--", "![")):
            yield line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_file_and_link_of_a_page_exists(page: Path) -> None:
    missing = [name for name in sorted(named(page)) if not (PROJECT / name).is_file()]
    for link in _LINK.findall(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, section = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (section and section not in map(anchor, _HEADING.findall(target.read_text()))):
            missing.append(link)
    assert not missing


def test_code_map_has_every_sql_file() -> None:
    there = {f"sql/{path.name}" for path in (PROJECT / "sql").iterdir()}
    assert there - named(ARCHITECTURE) == set()


def test_code_map_has_every_package() -> None:
    """Check the packages only, because ``docs/reference/modules.md`` lists the modules."""
    there = {str(path.parent.relative_to(PROJECT)) for path in (PROJECT / "gaq_listen").glob("*/__init__.py")}
    rows = re.findall(r"^\| `(gaq_listen[\w/]*)`", ARCHITECTURE.read_text(), re.MULTILINE)
    assert there - set(rows) == set()


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: str(page.relative_to(PROJECT)))
def test_prose_has_one_sentence_a_line_of_120_columns(page: Path) -> None:
    assert [line for line in prose(page) if len(line) > 120 or _TWO_SENTENCES.search(_CODE.sub("code", line))] == []


def test_concepts_define_each_word_once() -> None:
    words = re.findall(r"^- \*\*(.+?)\*\*", (PROJECT / "docs" / "concepts.md").read_text(), re.MULTILINE)
    assert len(words) == len(set(words))
    assert {"pair", "mark", "stale", "fresh", "doorbell", "sweep", "drain", "claim", "debounce", "doctor"} <= set(words)

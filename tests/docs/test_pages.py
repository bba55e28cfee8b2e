"""The pages about the code name files that exist, and miss none that a reader needs."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"), *(PROJECT / "tests").rglob("*.md"))
    if path.name != "CHANGELOG.md"
)
ARCHITECTURE = PROJECT / "docs" / "architecture.md"

_FILE = re.compile(r"`((?:gaq_listen|sql|tests|benchmarks|docs|\.ci)/[\w./-]+\.\w+)`")
_NO_FILE = re.compile(r"benchmarks/results/|NAME|_N\.")
"""Results, which only ``make bench`` writes, and names that stand for any."""
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def named(page: Path) -> set[str]:
    """The files that a page names as code."""
    return {name for name in _FILE.findall(page.read_text()) if not _NO_FILE.search(name)}


def anchor(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


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


def test_the_code_map_has_every_sql_file() -> None:
    there = {f"sql/{path.name}" for path in (PROJECT / "sql").iterdir()}
    assert there - named(ARCHITECTURE) == set()


def test_the_code_map_has_every_module_of_the_engine() -> None:
    """Reports, the DBA's part and the demo have many small modules, of which the map names the entrances."""
    engine = [
        path for area in (".", "db", "worker", "observers") for path in (PROJECT / "gaq_listen" / area).glob("*.py")
    ]
    there = {str(path.relative_to(PROJECT)) for path in engine if not path.stem.startswith("__")}
    assert there - named(ARCHITECTURE) == set()


@pytest.mark.parametrize("page", [PROJECT / "docs" / "concepts.md", ARCHITECTURE], ids=lambda page: page.stem)
def test_lines_are_short(page: Path) -> None:
    """A row of a table cannot be broken."""
    assert [line for line in page.read_text().splitlines() if len(line) > 120 and not line.startswith("|")] == []


def test_each_word_is_defined_once_and_the_domain_is_complete() -> None:
    words = re.findall(r"^- \*\*(.+?)\*\*", (PROJECT / "docs" / "concepts.md").read_text(), re.MULTILINE)
    assert len(words) == len(set(words))
    assert {"pair", "mark", "stale", "fresh", "doorbell", "sweep", "drain", "claim", "debounce", "doctor"} <= set(words)

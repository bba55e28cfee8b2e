"""Compare the pages of ``docs/reference`` with the code. ``make reference`` writes the pages."""

import difflib
from collections.abc import Mapping
from typing import Any, get_args

import pytest
from psycopg import Connection

from docs.generate import DIRECTORY, PAGES
from docs.generate_sql import READER, ROUTINES, WORKERS, relations_of, sql
from gaq_listen.worker import events
from tests.observers.example_events import ONE_OF_EACH

REMEDY = "run: make reference"


def assert_written(name: str, text: str) -> None:
    """Compare the text of a page with its file."""
    path = DIRECTORY / f"{name}.md"
    there = path.read_text(encoding="utf-8") if path.exists() else ""
    difference = "\n".join(difflib.unified_diff(there.splitlines(), text.splitlines(), "file", "code", lineterm=""))
    assert not difference, f"docs/reference/{name}.md differs from the code; {REMEDY}\n{difference}"


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_agrees_with_the_code(name: str) -> None:
    assert_written(name, PAGES[name]())


def test_sql_page_agrees_with_an_installation(db: Connection[Any]) -> None:
    assert_written("sql", sql(db))


def test_every_object_for_other_programs_has_a_comment(db: Connection[Any]) -> None:
    comments: Mapping[str, str] = {name: comment for name, _, comment, _ in relations_of(db)} | {
        signature: comment
        for roles in (READER, WORKERS)
        for signature, _, comment, _ in db.execute(ROUTINES.encode(), roles).fetchall()
    }
    assert [name for name, comment in comments.items() if not comment] == [], "add it to sql/75_comments.sql"


def test_every_event_has_an_example() -> None:
    assert {type(example) for example in ONE_OF_EACH} == set(get_args(events.Event))

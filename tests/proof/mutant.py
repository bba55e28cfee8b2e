"""Define what a mutant is, and helpers to write its course of steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from psycopg import Connection

from tests.proof.stage import Go, Say, Step
from tests.proof.stepped import Parts
from tests.support.altered_functions import alter

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Mutant:
    """Define code that loses an update on its course of steps. ``breaks`` is the rule that the mutant breaks.

    ``parts``, the pieces of functions that are ``altered`` and a file of ``sql`` make the mutant. ``given`` is SQL that
    runs before the course, with the mutant and with the real code, which is right on the same course.
    """

    name: str
    course: tuple[Step, ...]
    breaks: str
    parts: Parts = Parts()  # noqa: RUF009
    altered: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    sql: str = ""
    given: str = ""

    def make(self, connection: Connection[object]) -> None:
        """Make the mutant of a database that has the gates already."""
        if self.sql:
            connection.execute((HERE / self.sql).read_bytes())
        for function, changes in self.altered.items():
            alter(connection, function, *changes)


def anna(*statements: str) -> tuple[Step, ...]:
    return tuple(Say("anna", statement) for statement in statements)


def bob(*statements: str) -> tuple[Step, ...]:
    return tuple(Say("bob", statement) for statement in statements)


def first(*places: str) -> tuple[Step, ...]:
    return tuple(Go("first", place) for place in places)


def second(*places: str) -> tuple[Step, ...]:
    return tuple(Go("second", place) for place in places)


# Changes of the pair D.
LIMITED = "UPDATE qc_flags SET flag_type_id = 3 WHERE id = 41"
BAD = "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES (3, 103, 1, 2)"
VERIFIED = "INSERT INTO qc_flag_verifications (flag_id) VALUES (41)"
AGAIN = "UPDATE gaq_summaries SET invalidated_at = now() WHERE run_number = 103"
COMMIT = "COMMIT"

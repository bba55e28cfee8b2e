"""Ask the server questions for a plan, and collect the findings."""

from typing import Any, TypeAlias

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow, dict_row

from gaq_listen.dba.checks.finding import Finding, Level

Row: TypeAlias = dict[str, Any]


class PlanReader:
    """Ask about one source schema, and collect the findings of the plan."""

    def __init__(self, connection: Connection[TupleRow], schema: str) -> None:
        self.connection = connection
        self.schema = schema
        self.findings: list[Finding] = []
        self.naming_obstacles: list[Finding] = []
        """Obstacles because of a name. They are none if tables or columns were only renamed since an installation."""

    def obstacle(self, what: str, why: str, fix: str) -> None:
        """Add a reason for which an installation refuses to start."""
        self.findings.append(Finding(what, why, fix, "obstacle"))

    def naming_obstacle(self, what: str, why: str, fix: str) -> None:
        """Add an obstacle that is none if an installation binds nothing anew because only names have changed."""
        self.obstacle(what, why, fix)
        self.naming_obstacles.append(self.findings[-1])

    def advise(self, what: str, why: str, fix: str, level: Level = "note") -> None:
        """Add a finding that does not prevent an installation."""
        self.findings.append(Finding(what, why, fix, level))

    def count_obstacles(self) -> int:
        """Return the number of obstacles found so far."""
        return sum(finding.level == "obstacle" for finding in self.findings)

    def ask(self, query: str, **values: Any) -> list[Row]:
        """Return the rows of a query about catalogs. ``%(schema)s`` stands for the source schema."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), {"schema": self.schema, **values}).fetchall()

    def attempt(self, query: str, **values: Any) -> Any:
        """Return the single value of a query about tables.

        Return None if the role lacks a right, the table does not exist, or the answer takes too long.
        """
        try:
            with self.connection.transaction():
                (row,) = self.connection.execute(query.encode(), values or None).fetchall()
                return row[0]
        except (psycopg.ProgrammingError, psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled):
            return None

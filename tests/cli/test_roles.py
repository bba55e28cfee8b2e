"""Run the commands as each role of the table in docs/guides/dba.md, with the grants of the table."""

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection, sql

from tests.cli.test_sessions import call

READING = ["status --objective 1h", "show 1", "explain 1 501", "verify --all", "failures"]
OPERATING = ["recalculate 1 --runs 501", "run --once", "pause", "resume"]
INSTALLING = ["install --plan", "install", "uninstall --yes"]

# The attributes and the grants of each, and which commands they suffice for; those of no other role do.
SUPERUSER = ("superuser", (), [*READING, *OPERATING, "doctor", *INSTALLING])
OWNER = ("", ("grant gaq_owner to {}",), [*READING, *OPERATING, *INSTALLING])
OPERATOR = ("", ("grant gaq_worker to {}",), [*READING, *OPERATING])
READER = ("", ("grant gaq_reader to {}",), READING)
NOBODY: tuple[str, tuple[str, ...], list[str]] = ("", (), [])


@pytest.fixture
def role(period: Connection[Any], request: pytest.FixtureRequest) -> Iterator[str]:
    """Create a role with attributes and grants. The owner has the tables, their schema and the database."""
    attributes, grants, _ = request.param
    name = f"somebody_{period.info.dbname}"
    role = sql.Identifier(name)
    period.execute(sql.SQL("create role {} login ").format(role) + sql.SQL(attributes))
    if request.param is OWNER:
        period.execute(sql.SQL("alter schema public owner to {}").format(role))
        period.execute(sql.SQL("alter database {} owner to {}").format(sql.Identifier(period.info.dbname), role))
        for (table,) in period.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
        ).fetchall():
            period.execute(sql.SQL("alter table {} owner to {}").format(sql.Identifier(table), role))
    for grant in grants:
        period.execute(sql.SQL(grant).format(role))
    yield name
    period.execute(sql.SQL("reassign owned by {} to current_user").format(role))
    period.execute(sql.SQL("drop owned by {}").format(role))
    period.execute(sql.SQL("drop role {}").format(role))


@pytest.mark.parametrize(
    ("role", "allowed"),
    [(who, who[2]) for who in (SUPERUSER, OWNER, OPERATOR, READER, NOBODY)],
    indirect=["role"],
    ids=["superuser", "owner", "operator", "reader", "nobody"],
)
def test_each_role_can_run_its_commands(period: Connection[Any], dsn: str, role: str, allowed: list[str]) -> None:
    mine = f"{dsn} user={role}"
    for command in [*READING, *OPERATING, *INSTALLING]:
        answer = call(mine, command)
        assert answer.exit_code == (0 if command in allowed else 1), (command, answer.output)
        assert answer.exception is None or isinstance(answer.exception, SystemExit), (command, answer.exception)
    # Who may look at nothing is told what to do, and who may at less than all, what could not be looked at.
    assert call(mine, "doctor").exit_code == 1
    assert (period.execute("select to_regnamespace('gaq')").fetchone() == (None,)) is ("uninstall --yes" in allowed)

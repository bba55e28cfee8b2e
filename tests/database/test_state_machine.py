"""Whatever is done to the source tables, in whatever order, the model judges what is stored.

At any moment a summary that is not what the model says is marked as stale; and when the marks are
drained, every pair has the summary that the model says, and nothing else has one.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import psycopg
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from psycopg import Connection

from tests.conftest import Connect
from tests.database import random_changes
from tests.support.shapes import Shape, in_every_shape
from tests.support.small_world import assert_fresh, judge
from tests.support.tables import drain

_EMPTY = """
TRUNCATE runs, detectors, data_passes, qc_flag_types CASCADE;
TRUNCATE gaq.summaries, gaq.invalidations, gaq.wide_invalidations;
"""


# The same series each time: a failure in one place is a failure everywhere.
repeatable = settings(max_examples=120, stateful_step_count=25, derandomize=True, database=None, deadline=None)


class Series(RuleBasedStateMachine):
    """A writer's statements and transactions, and a worker that comes between them."""

    def __init__(self, shape: Shape, writer: Connection[Any], worker: Connection[Any]) -> None:
        """Both connections are in autocommit; the worker sees what is committed."""
        super().__init__()
        self.shape = shape
        self.writer = writer
        self.worker = worker
        self.savepoints = 0
        writer.execute(_EMPTY.encode())
        writer.execute(random_changes.start(self.shape).encode())

    @property
    def in_transaction(self) -> bool:
        return self.writer.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS

    def execute(self, statements: str) -> None:
        """A constraint may refuse them: then they are undone, in a transaction as well."""
        savepoint = self.writer.transaction() if self.in_transaction else nullcontext()
        with suppress(psycopg.errors.IntegrityError, psycopg.errors.CardinalityViolation), savepoint:
            self.writer.execute(statements.encode())
        self.check()

    @rule(control=st.sampled_from(["BEGIN", "SAVEPOINT", "ROLLBACK TO", "ROLLBACK", "COMMIT", "COMMIT"]))
    def control(self, control: str) -> None:
        """A transaction begins or ends, or a part of it."""
        if not self.in_transaction:
            self.writer.execute("BEGIN")
            self.savepoints = 0
        elif control == "SAVEPOINT":
            self.writer.execute("SAVEPOINT here")
            self.savepoints += 1
        elif control == "ROLLBACK TO" and self.savepoints:
            self.writer.execute("ROLLBACK TO here; RELEASE here")
            self.savepoints -= 1
        elif control in ("ROLLBACK", "COMMIT"):
            self.writer.execute(control.encode())
            self.check()

    @rule(disaster=random_changes.DISASTERS)
    def restore_around_a_disaster(self, disaster: str) -> None:
        if not self.in_transaction:
            self.writer.execute(random_changes.start(self.shape).encode())
            self.worker.execute("SELECT FROM gaq.refresh(100)")
            self.execute(disaster)
            self.writer.execute(random_changes.start(self.shape).encode())

    @rule(work=st.sampled_from(["SELECT gaq.expand(1)", "SELECT FROM gaq.refresh(1)", "CALL gaq.drain(2)"]))
    def work(self, work: str) -> None:
        self.worker.execute(work.encode())
        self.check()

    def check(self) -> None:
        """What is wrong is stale, and live summaries are right."""
        wrong, stale, live_wrong = judge(self.worker)
        assert wrong <= stale
        assert live_wrong == set()

    def teardown(self) -> None:
        if self.in_transaction:
            self.writer.execute("COMMIT")
            self.check()
        drain(self.worker)
        assert_fresh(self.worker)


@in_every_shape
def test_any_series_of_changes(db: Connection[Any], connect: Connect, shape: Shape) -> None:
    worker = connect(autocommit=True)
    for connection in (db, worker):
        connection.execute("SET lock_timeout = '20 s'")
    statements = random_changes.STATEMENTS[shape]

    class SeriesHere(Series):
        def __init__(self) -> None:
            super().__init__(shape, db, worker)

        @rule(drawn=st.lists(statements, min_size=1, max_size=4))
        def change(self, drawn: list[str]) -> None:
            for statement in drawn:
                self.execute(statement)

        @rule(drawn=st.lists(statements, min_size=4, max_size=8))
        def change_when_fresh(self, drawn: list[str]) -> None:
            self.execute(random_changes.start(self.shape))
            for statement in drawn:
                self.worker.execute("SELECT FROM gaq.refresh(100)")
                self.execute(statement)

        @rule(drawn=st.lists(statements, min_size=2, max_size=4))
        def change_together(self, drawn: list[str]) -> None:
            self.execute(";".join(drawn))

    run_state_machine_as_test(SeriesHere, settings=repeatable)

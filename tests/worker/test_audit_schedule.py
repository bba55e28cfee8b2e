"""Test when an audit is due, and of how many pairs."""

from math import inf

from gaq_listen.worker.audit_schedule import AUDIT_EVERY, AuditSchedule


def test_portions_add_up_to_the_rate_without_bursts() -> None:
    schedule = AuditSchedule(pairs_a_minute=60, now=0.0)
    assert schedule.next() == AUDIT_EVERY
    assert schedule.take(9.9) == 0
    assert [schedule.take(now) for now in (10.0, 20.0, 25.0, 30.5)] == [10, 10, 0, 10]
    # The half pair that was owed counts. What a long absence missed does not.
    assert schedule.take(41.0) == 11
    assert schedule.take(1000.0) == 20


def test_less_than_a_pair_a_portion_adds_up() -> None:
    schedule = AuditSchedule(pairs_a_minute=2, now=0.0)
    assert sum(schedule.take(second * 10.0) for second in range(1, 19)) == 6


def test_no_audit_is_due_at_rate_zero() -> None:
    assert AuditSchedule(pairs_a_minute=0, now=0.0).next() == inf
    assert AuditSchedule(pairs_a_minute=0, now=0.0).take(1e9) == 0

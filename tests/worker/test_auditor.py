"""Test that an audit finds changes that no trigger saw, and has them refreshed."""

from typing import Any

from psycopg import Connection
from pytest import MonkeyPatch  # noqa: PT013

from gaq_listen.db.sessions import connect
from gaq_listen.worker import audit_schedule, events
from gaq_listen.worker.auditor import Auditor
from tests.support.worker_harness import running_worker, stale

NEVER = 3600.0


async def test_change_without_triggers_is_audited_and_refreshed(
    period: Connection[Any], dsn: str, monkeypatch: MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_schedule, "AUDIT_EVERY", 0.05)
    period.execute("alter table qc_flags disable trigger gaq_update")
    period.execute("update qc_flags set flag_type_id = 2 where (data_pass_id, run_number) = (1, 503)")
    async with running_worker(dsn, sweep=NEVER, audit_rate=10_000) as work:
        audited = await work.until(lambda: [event for event in work.of(events.Audited) if event.drifted])
        (pair,) = audited[0].drifted
        assert (pair.data_pass_id, pair.data_pass, pair.run_number) == (1, "LHC22o_apass7", 503)
        assert (pair.stored, pair.recomputed) == (1.0, 0.0)
        assert "bad_run_coverage" in pair.differs
        batch = await work.until(lambda: work.of(events.BatchRefreshed))
        assert batch[0].pairs[0].causes == "drift"
        assert stale(period) == 0


async def test_audit_covers_all_pairs_and_begins_again(period: Connection[Any], dsn: str) -> None:
    work = await connect(dsn, "gaq-listen worker")
    try:
        auditor = Auditor(work, 10)
        assert [(await auditor.audit(4)).pairs for _ in range(5)] == [4, 4, 2, 4, 4]
        period.execute("update gaq.summaries set bad_run_coverage = 0.5")
        found = [pair.run_number for _ in range(2) for pair in (await auditor.audit(2)).drifted]
        assert found == [504, 505]  # The last two of ten. The audit passes over marked pairs when it begins again.
    finally:
        await work.close()

"""What explain reads: the same that gaq.compute computes, in one snapshot, with a reader's rights."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.errors import UnknownName
from gaq_listen.reports.explain import read
from gaq_listen.reports.explain.explanation import ExplainedFlag, Explanation, Span
from gaq_listen.reports.explain.sums import add_up
from gaq_listen.reports.quality import Quality
from tests.conftest import Connect
from tests.database.test_rights import reader as reader
from tests.support.golden_cases import run_time_changes, scenarios
from tests.support.tables import drain, insert

BAD_FLAG = """
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, "from", "to", created_by, comment)
values (1, 501, 1, 2, '2026-01-01 02:15Z', '2026-01-01 02:30Z', 'TPC expert', 'sector 12')
"""


@pytest.fixture
def asking(connect: Connect) -> Connection[Any]:
    """A connection as a command has it."""
    connection = connect(autocommit=True)
    connection.execute("set timezone = 'UTC'")
    return connection


def explained(connection: Connection[Any], data_pass_id: int = 1, run: int = 501) -> Explanation:
    return read(connection, data_pass_id, "LHC22o_apass7", run)


def left_over(flag: ExplainedFlag, hiding: list[ExplainedFlag]) -> list[Span]:
    """What those that are said to hide a flag leave of its span; each of them must hide something."""
    left = [flag.span] if flag.span else []
    for other in hiding:
        assert other.detector_id == flag.detector_id
        assert flag.span is not None
        assert other.span is not None
        assert max(flag.span[0], other.span[0]) < min(flag.span[1], other.span[1])
        cut = [
            part for start, end in left for part in ((start, min(end, other.span[0])), (max(start, other.span[1]), end))
        ]
        left = [(start, end) for start, end in cut if start < end]
    return left


def test_it_adds_up_to_what_is_computed(db: Connection[Any], asking: Connection[Any]) -> None:
    """All golden cases: explained from the effective periods alone, held against gaq.compute."""
    cases = [case.pair for case in scenarios()] + [case.after for case in run_time_changes()]
    pairs = {(number % 5 + 1, 500_000 + number): pair for number, pair in enumerate(cases)}
    with db.transaction():
        insert(db, pairs)
    drain(db)
    computable = 0
    for data_pass_id, run in pairs:
        pair = explained(asking, data_pass_id, run)
        assert pair.computed is not None
        assert pair.stored is not None
        assert pair.stored.values == pair.computed
        for flag in pair.flags:
            assert left_over(flag, [other for other in pair.flags if other.flag_id in flag.hidden_by]) == [
                *flag.effective
            ]
        total = add_up(pair)
        assert pair.computed.not_computable == (total is None), run
        if total is not None:
            computable += 1
            assert total.values.equals(pair.computed), run
            assert sum(total.time.values(), timedelta()) == total.whole
    assert computable > 200


def test_what_a_later_flag_hides(period: Connection[Any], asking: Connection[Any]) -> None:
    period.execute(BAD_FLAG.encode())
    pair = explained(asking)
    bad, good = (flag for flag in pair.flags if flag.detector == "TPC")
    assert (bad.quality, bad.hidden_by, bad.effective) == (Quality.BAD, (), (bad.span,))
    assert (bad.created_by, bad.comment, bad.verifications) == ("TPC expert", "sector 12", 0)
    assert good.hidden_by == (bad.flag_id,)
    assert [(start.minute, end.minute) for start, end in good.effective] == [(0, 15), (30, 0)]
    assert [period.quality for period in pair.periods] == [Quality.GOOD, Quality.BAD, Quality.GOOD]


def test_the_one_created_later_hides_whatever_its_id(period: Connection[Any], asking: Connection[Any]) -> None:
    period.execute(BAD_FLAG.encode())
    period.execute("update qc_flags set created_at = now() + interval '1 h' where flag_type_id = 1")
    good, bad = (flag for flag in explained(asking).flags if flag.detector == "TPC")
    assert (good.quality, good.hidden_by) == (Quality.GOOD, ())
    assert (bad.quality, bad.hidden_by, bad.effective) == (Quality.BAD, (good.flag_id,), ())
    period.execute("update qc_flags set created_at = '2026-01-02Z'")
    bad, good = (flag for flag in explained(asking).flags if flag.detector == "TPC")
    assert (bad.quality, bad.hidden_by, good.hidden_by) == (Quality.BAD, (), (bad.flag_id,))


def test_why_it_is_stale_and_why_it_was_refreshed(period: Connection[Any], asking: Connection[Any]) -> None:
    period.execute(BAD_FLAG.encode())
    period.execute("update runs set time_trg_end = time_o2_end - interval '5 min' where run_number = 501")
    pair = explained(asking)
    assert [cause for _, cause in pair.marks] == ["flag", "run times"]
    assert pair.stored is not None
    assert pair.computed is not None
    assert pair.stored.values != pair.computed
    drain(period)
    again = explained(asking)
    assert again.marks == ()
    assert again.stored is not None
    assert again.stored.values == again.computed
    assert again.stored.refreshed_for == "flag, run times"
    assert again.stored.refreshed_by
    assert again.stored.seconds_stale is not None
    assert again.stored.updated_at > pair.stored.updated_at


def test_a_pair_that_fails_is_explained_all_the_same(period: Connection[Any], asking: Connection[Any]) -> None:
    period.execute(
        "insert into detectors (id, name) select 1000 + n, 'D' || n from generate_series(1, 1100) n;"
        "insert into gaq_detectors select 1, 501, 1000 + n from generate_series(1, 1100) n"
    )
    period.execute("select gaq.record_failure(1, 501, 'too many', 'XX000')")
    pair = explained(asking)
    assert pair.computed is None
    assert pair.error is not None
    assert "1102 GAQ detectors" in pair.error
    assert pair.failure is not None
    assert pair.failure.error == "too many"
    assert len(pair.detectors) == 1102


def test_times_that_no_program_can_hold(period: Connection[Any], asking: Connection[Any]) -> None:
    period.execute(
        """
        update qc_flags set "from" = '-infinity', "to" = 'infinity', created_at = '9999-12-31 23:59Z'
        where data_pass_id = 1 and run_number = 501 and detector_id = 1;
        update runs set time_o2_end = 'infinity' where run_number = 502;
        """
    )
    pair = explained(asking)
    flag = next(flag for flag in pair.flags if flag.detector == "TPC")
    assert (flag.starts, flag.ends, flag.created_at) == (None, None, None)
    assert flag.span == flag.effective[0] == pair.window
    unending = explained(asking, run=502)
    assert unending.qc_time_end is None
    assert {flag.span for flag in unending.flags} == {None}
    assert unending.computed is not None
    assert unending.computed.not_computable


def test_a_pair_that_has_left_and_one_that_never_was(period: Connection[Any], asking: Connection[Any]) -> None:
    period.execute("delete from data_pass_runs where (data_pass_id, run_number) = (1, 501)")
    assert not explained(asking).in_data_pass
    drain(period)
    with pytest.raises(UnknownName, match=r"run 501 is not in LHC22o_apass7; did you mean '50\d'"):
        explained(asking)


def test_it_is_all_of_one_moment(period: Connection[Any], asking: Connection[Any]) -> None:
    """A flag that comes between two of its questions is seen by none of them."""
    before = explained(asking)
    in_between: list[bool] = []

    class Interrupting(psycopg.ClientCursor[Any]):
        def execute(self, query: Any, *values: Any, **options: Any) -> Any:
            if b"explain_detectors" in (query if isinstance(query, bytes) else query.encode()):
                period.execute(BAD_FLAG.encode())
                in_between.append(True)
            return super().execute(query, *values, **options)

    asking.cursor_factory = Interrupting
    during = explained(asking)
    assert in_between
    assert replace(during, at=before.at) == before
    asking.cursor_factory = psycopg.Cursor
    assert len(explained(asking).flags) == len(before.flags) + 1


def test_a_reader_may_ask_why(period: Connection[Any], reader: Connection[Any]) -> None:
    period.execute(BAD_FLAG.encode())
    reader.execute("set timezone = 'UTC'")
    pair = explained(reader)
    assert add_up(pair) is not None
    assert pair.marks
    assert pair.at - datetime.now(UTC) < timedelta(minutes=1)
    for forbidden in ("select * from gaq.source_flag_details", "select * from gaq.compute(array[1], array[501])"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(forbidden.encode())

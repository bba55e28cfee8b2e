"""The commit of a refresh does not wait for the disk. A crash may lose it, and then the pair is stale again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.conftest import NewServer
from tests.faults.convergence import differences, stale
from tests.faults.crashes import crash, crashes, start_again
from tests.faults.program import running
from tests.faults.server import WORKER, Server, freeze
from tests.support.waiting import until

_ADD = """
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id)
select data_pass_id, run_number, 1, 2 from data_pass_runs order by 1, 2 limit 1
"""
_WAL_WRITER = "select pid from pg_stat_activity where backend_type = 'walwriter'"
_REFRESHED = """
select updated_at::text from gaq.summaries
where (data_pass_id, run_number) = (select data_pass_id, run_number from data_pass_runs order by 1, 2 limit 1)
"""


@pytest.fixture
def lazy(new_server: NewServer) -> Server:
    """Start a server that writes asynchronous commits to its disk only every ten seconds."""
    server = new_server()
    server.settings |= {"wal_writer_delay": "10s", "autovacuum": "off"}
    server.start()
    return server


@pytest.mark.parametrize(("options", "is_lost"), [({}, True), ({"gaq_listen_sync_commit": "1"}, False)])
def test_a_pair_is_stale_again_when_a_crash_loses_its_refresh(
    lazy: Server, options: dict[str, Any], is_lost: bool
) -> None:
    with running(lazy.dsn(user=WORKER), **options) as program:
        lazy.until_asleep()
        # The WAL writer writes asynchronous commits to the disk, and could do so at any moment before the crash.
        freeze(lazy.ask(_WAL_WRITER))
        before = lazy.ask(_REFRESHED)
        lazy.ask(_ADD)
        until(lambda: lazy.ask(_REFRESHED) > before and stale(lazy) == 0, "the pair is fresh")
        fresh = lazy.ask(_REFRESHED)
        program.kill()
        crash(lazy, "all processes killed")
    start_again(lazy)
    assert (lazy.ask(_REFRESHED) < fresh, stale(lazy)) == (is_lost, int(is_lost))
    with running(lazy.dsn(user=WORKER)) as program:
        until(lambda: stale(lazy) == 0, "the pair is fresh again")
        assert differences(lazy) == []
        assert program.stop() == 0


def test_no_fresh_summary_is_wrong_after_crashes(lazy: Server) -> None:
    """The seed leads to each way to crash at least once. ``make crashes TIMES=1000`` runs longer."""
    done = crashes(lazy, times=6, number=2)
    assert sum(done.values()) - done["lost a refresh"] == 6

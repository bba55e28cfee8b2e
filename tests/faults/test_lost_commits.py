"""A refresh does not wait for the disk: a crash may lose it, and then its pair is stale again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.faults.conftest import NewServer
from tests.faults.convergence import differences, stale
from tests.faults.crashes import crash, crashes, start_again
from tests.faults.program import running
from tests.faults.server import WORKER, Server
from tests.faults.waiting import until

_ADD = """
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id)
select data_pass_id, run_number, 1, 2 from data_pass_runs order by 1, 2 limit 1
"""
_REFRESHED = """
select updated_at::text from gaq.summaries
where (data_pass_id, run_number) = (select data_pass_id, run_number from data_pass_runs order by 1, 2 limit 1)
"""


@pytest.fixture
def lazy(new_server: NewServer) -> Server:
    """A server that runs, and that writes down by itself, what nobody waits for, only every ten seconds."""
    server = new_server()
    server.settings |= {"wal_writer_delay": "10s", "autovacuum": "off"}
    server.start()
    return server


@pytest.mark.parametrize(("options", "is_lost"), [({}, True), ({"gaq_listen_sync_commit": "1"}, False)])
def test_a_refresh_that_a_crash_loses_leaves_its_pair_stale(
    lazy: Server, options: dict[str, Any], is_lost: bool
) -> None:
    with running(lazy.dsn(user=WORKER), **options) as program:
        lazy.until_asleep()
        before = lazy.ask(_REFRESHED)
        lazy.ask(_ADD)
        until(lambda: lazy.ask(_REFRESHED) > before and stale(lazy) == 0, "it is fresh")
        fresh = lazy.ask(_REFRESHED)
        program.kill()
        crash(lazy, "all processes killed")
    start_again(lazy)
    assert (lazy.ask(_REFRESHED) < fresh, stale(lazy)) == (is_lost, int(is_lost))
    with running(lazy.dsn(user=WORKER)) as program:
        until(lambda: stale(lazy) == 0, "it is fresh again")
        assert differences(lazy) == []
        assert program.stop() == 0


def test_nothing_wrong_is_fresh_after_crashes(lazy: Server) -> None:
    """Each of the ways once at least; ``make crashes TIMES=1000`` does it for longer."""
    done = crashes(lazy, times=6, number=2)
    assert sum(done.values()) - done["lost a refresh"] == 6

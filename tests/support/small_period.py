"""The small period: two data passes of five runs, with one good flag for each detector, and nothing stale."""

from typing import Any

import pytest
from psycopg import Connection

from tests.support.tables import drain

PERIOD = """
insert into detectors (id, name) values (1, 'TPC'), (2, 'ITS');
insert into qc_flag_types (id, name, bad) values (1, 'Good', false), (2, 'Bad', true);
insert into data_passes (id, name) values (1, 'LHC22o_apass7'), (2, 'LHC23a_apass1');
insert into runs (run_number, time_o2_start, time_o2_end)
select 500 + run, '2026-01-01 00:00Z'::timestamptz + run * interval '2 h',
       '2026-01-01 01:00Z'::timestamptz + run * interval '2 h'
from generate_series(1, 5) run;
insert into data_pass_runs select pass, 500 + run from generate_series(1, 2) pass, generate_series(1, 5) run;
insert into gaq_detectors select data_pass_id, run_number, detector from data_pass_runs, generate_series(1, 2) detector;
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id)
select data_pass_id, run_number, detector_id, 1 from gaq_detectors;
"""

BAD_FLAG = "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (%s, %s, 1, 2)"
"""Insert a flag that makes the good fraction of a pair 0. Its values are the ids of data pass and run."""


@pytest.fixture
def period(db: Connection[Any]) -> Connection[Any]:
    """Return the connection ``db`` to a database with the small period."""
    db.execute(PERIOD.encode())
    drain(db)
    return db

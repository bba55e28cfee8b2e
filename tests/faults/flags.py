"""Drain the marks of millions of flags that were added while no worker ran: ``make storm FLAGS=10000000``."""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gaq_listen.private_postgres import cluster
from tests.faults.backlog import MEMORY, execute, size
from tests.faults.convergence import assert_clean_stop, differences, stale
from tests.faults.program import Program, running
from tests.faults.seeded_cluster import copy_of
from tests.faults.server import WORKER, Server
from tests.support.small_period import BAD_FLAG
from tests.support.waiting import until

Report = Callable[[str], None]

DATA_PASSES, DETECTORS, EACH = 21, 12, 3
"""As in ALICE's data. EACH is the number of flags of a pair and detector. The number of runs grows with the flags."""
BYTES = 800
"""Disk space for one flag, with its part of indexes, marks and WAL."""
PATIENCE = 3600.0
SAMPLE = 5_000
"""Number of pairs that are computed again at the end and compared."""
NEWEST = (2, 505)
"""A pair outside the backlog, which is marked while the worker drains the backlog."""

_COMMON = """
insert into detectors (id, name) select 100 + n, 'D' || n from generate_series(1, %(detectors)s) n;
insert into qc_flag_types (id, name, bad, mc_reproducible)
select 100 + n, 'type ' || n, n %% 3 = 0, n %% 6 = 0 from generate_series(1, 14) n;
insert into runs (run_number, time_o2_start, time_o2_end)
select 500000 + n, timestamptz '2024-01-01Z' + n * interval '2 h', timestamptz '2024-01-01Z' + (n + 1) * interval '2 h'
from generate_series(1, %(runs)s) n;
"""
# Experts set flags detector after detector, so the flags of one pair lie far from each other on the disk.
_FLAGS = """
insert into data_passes (id, name) values (%(pass)s, 'LHC24_pass' || %(pass)s);
insert into data_pass_runs select %(pass)s, run_number from runs where run_number > 500000;
insert into gaq_detectors
select data_pass_id, run_number, 100 + d from data_pass_runs, generate_series(1, %(detectors)s) d
where data_pass_id = %(pass)s;
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, "from", "to")
select %(pass)s, run_number, 100 + d, 101 + hash %% 14,
       case when n > 1 then qc_time_start + begins * interval '1 min' end,
       case when n > 1 then qc_time_start + (begins + 1 + hash / 7 %% 60) * interval '1 min' end
from generate_series(1, %(each)s) n
cross join generate_series(1, %(detectors)s) d
cross join (select * from runs where run_number > 500000 order by run_number) r
cross join lateral (
    select hashint8((%(pass)s * 1000000::bigint + run_number) * 1000 + d * 10 + n) & 2147483647
) h (hash)
cross join lateral (select hash / 100 %% 100) b (begins);
insert into qc_flag_verifications (flag_id) select id from qc_flags where data_pass_id = %(pass)s and id %% 3 = 0;
"""
_MADE = """
select (select count(*) from qc_flags), (select count(*) from data_pass_runs),
       (select count(*) from gaq.invalidations), (select count(*) from gaq.wide_invalidations)
"""
_LEFT = "select exists (select from gaq.invalidations) or exists (select from gaq.wide_invalidations)"
_MARKED = "select exists (select from gaq.invalidations where (data_pass_id, run_number) = (%s, %s))"


@dataclass(frozen=True, slots=True)
class Drain:
    """What a drain took. Times are in seconds since its start, ``memory`` in bytes.

    ``fresh`` is when nothing was stale, ``marked`` is when NEWEST was marked, and ``served`` when NEWEST was fresh.
    ``progress`` has the log lines that report the backlog.
    """

    fresh: float
    marked: float
    served: float
    progress: list[str]
    memory: int

    def __str__(self) -> str:
        return (
            f"drained in {self.fresh:.0f} s, with at most {self.memory / 1e6:.0f} MB; the worker logged progress "
            f"{len(self.progress)} times, such as: {self.progress[len(self.progress) // 2]}\n"
            f"a pair that was marked {self.marked:.0f} s after the beginning was fresh "
            f"{self.served - self.marked:.1f} s later, everything {self.fresh - self.marked:.0f} s later"
        )


def many_flags(seed: Server, flags: int, report_progress: Report) -> str:
    """Add at least ``flags`` flags to a copy of the seed, let a worker drain their marks, and return a report.

    Raises:
        AssertionError: a summary was wrong or stale, the worker took too much memory, or the marks did not shrink.
    """
    with ExitStack() as stack:
        server = copy_of(seed, stack, _room(seed, flags * BYTES))
        server.settings |= {"shared_buffers": "1GB", "max_wal_size": "4GB"}
        server.start()
        report = [filled(server, flags, report_progress)]
        before = _sizes(server)
        with running(server.dsn(user=WORKER)) as program:
            drain = _drained(server, program, report_progress)
            assert_clean_stop(program)
        report.append(str(drain))
        assert drain.memory < MEMORY
        until(lambda: sum(_sizes(server)) < sum(before) / 10, "the marks have shrunk", patience=300, every=1)
        after = _sizes(server)
        report.append(
            f"by themselves the marks of pairs shrank from {before[0] / 1e6:,.1f} to {after[0] / 1e6:.1f} MB, "
            f"those of flags from {before[1] / 1e6:,.1f} to {after[1] / 1e6:.1f} MB"
        )
        wrong = len(differences(server, sample=SAMPLE))
        assert wrong == 0
        return "\n".join((*report, f"wrong values in a sample of {SAMPLE:,} pairs: {wrong}"))


def filled(server: Server, flags: int, report_progress: Report) -> str:
    """Add at least ``flags`` flags to a running server, and return a sentence with the numbers of rows."""
    began = time.monotonic()
    values = {
        "runs": -(-flags // (DATA_PASSES * DETECTORS * EACH)),
        "detectors": DETECTORS,
        "each": EACH,
    }
    with server.connect() as connection:
        # This setting skips the checks of foreign keys, which take long. Our triggers fire nevertheless.
        connection.execute("set session_replication_role = replica")
        execute(connection, _COMMON, values)
        for number in range(1, DATA_PASSES + 1):
            report_progress(f"filling data pass {number} of {DATA_PASSES}")
            execute(connection, _FLAGS, values | {"pass": 100 + number})
        connection.execute("analyze")
        made = connection.execute(_MADE.encode()).fetchone()
    assert made is not None
    flags, pairs, marks, wide = made
    seconds = time.monotonic() - began
    return (
        f"{flags:,} flags of {pairs:,} pairs in {seconds:.0f} s; they left {marks:,} marks of pairs, {wide:,} of flags"
    )


def _drained(server: Server, program: Program, report_progress: Report) -> Drain:
    """Wait until nothing is stale. Mark NEWEST when a tenth of the first marks is done."""
    began = time.monotonic()
    first = program.until("behind", patience=PATIENCE).values
    report_progress(f"behind: {first}")
    pairs = int(first["pairs_left"])
    until(lambda: program.refreshed() > pairs / 10, "a tenth is refreshed", patience=PATIENCE, every=0.1)
    server.ask(BAD_FLAG, *NEWEST)
    marked = time.monotonic() - began
    until(
        lambda: not server.ask(_MARKED, *NEWEST), "the pair that was marked last is fresh", patience=PATIENCE, every=0.1
    )
    served = time.monotonic() - began
    report_progress(f"the pair that was marked after {marked:.0f} s was fresh {served - marked:.1f} s later")
    until(lambda: not server.ask(_LEFT), "nothing is marked", patience=PATIENCE, every=0.5)
    fresh = time.monotonic() - began
    assert stale(server) == 0
    progress = [text for text in program.raw if " behind " in text]
    return Drain(fresh, marked, served, progress, program.peak_memory())


def _sizes(server: Server) -> tuple[int, int]:
    return size(server), size(server, "gaq.wide_invalidations")


def _room(seed: Server, needed: int) -> Path:
    """Return the directory of shared memory if it has three times ``needed`` bytes, or that of temporary files."""
    disk = cluster.temp_base(seed.account)
    shared = cluster.data_base(disk)
    available = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024
    if shared != disk and min(shutil.disk_usage(shared).free, available) > 3 * needed:
        return shared
    assert shutil.disk_usage(disk).free > needed, f"the flags need {needed / 1e9:.0f} GB in {disk}"
    return disk

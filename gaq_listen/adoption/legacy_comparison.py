"""Compare the summaries of an adopted table with what is computed here, and find out why they differ."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.adoption.legacy_reasons import PairFacts, Reason, reason
from gaq_listen.errors import GaqListenError
from gaq_listen.reports.summary_values import SummaryValues
from gaq_listen.reports.verification import BATCH
from gaq_listen.types import columns
from gaq_listen.wording import number
from gaq_listen.worker.auditor import Difference

_THERE = "select to_regclass('gaq.original_summaries') is not null"
_COUNT = "select count(*) from gaq.original_summaries"
_PAIRS = "select data_pass_id, run_number from gaq.original_summaries order by 1, 2"

# Causes of marks that come from a change of the data. A request by hand, or an installation, marks without a change.
_CHANGES = "{flag,verification,flag type,detectors,data pass,run times,truncate}"

_COMPARED = """
with given as materialized (
    select o.* from gaq.original_summaries o
    join unnest(%s::bigint[], %s::bigint[]) u (data_pass_id, run_number) using (data_pass_id, run_number)
), ours as materialized (
    select * from gaq.compute((select array_agg(data_pass_id) from given), (select array_agg(run_number) from given))
)
select given.data_pass_id, named.name, given.run_number,
       given.bad_run_coverage, given.explicitly_not_bad_run_coverage, given.mc_reproducible_coverage,
       given.missing_verifications_count, given.undefined_quality_periods_count, given.not_computable,
       ours.bad_run_coverage, ours.explicitly_not_bad_run_coverage, ours.mc_reproducible_coverage,
       ours.missing_verifications_count, ours.undefined_quality_periods_count, ours.not_computable,
       exists (select from gaq.source_pairs p
               where p.data_pass_id = given.data_pass_id and p.run_number = given.run_number),
       given.invalidated_at is not null,
       coalesce(string_to_array(s.refreshed_for, ', ') && %s::text[], false) or exists (
           select from (
               select data_pass_id, run_number, cause from gaq.invalidations
               union all
               select data_pass_id, run_number, cause from gaq.expanded_invalidations
           ) m
           where m.data_pass_id = given.data_pass_id and m.run_number = given.run_number and cause = any (%s::text[])),
       coalesce(isfinite(run.qc_time_start) and isfinite(run.qc_time_end), false),
       coalesce(run.qc_time_start < run.qc_time_end, false),
       exists (select from gaq.source_flags f
               where f.data_pass_id = given.data_pass_id and f.run_number = given.run_number),
       exists (select from gaq.source_flags f
               join gaq.source_gaq_detectors d using (data_pass_id, run_number, detector_id)
               where f.data_pass_id = given.data_pass_id and f.run_number = given.run_number
                 and (least(f.starts, f.ends) < run.qc_time_start or greatest(f.starts, f.ends) > run.qc_time_end)),
       {outdated}
from given
left join ours using (data_pass_id, run_number)
left join gaq.source_runs run on run.run_number = given.run_number
left join gaq.summaries s on s.data_pass_id = given.data_pass_id and s.run_number = given.run_number
left join gaq.source_data_passes named on named.id = given.data_pass_id
order by given.data_pass_id, given.run_number
"""

# The sources file of a DBA may be older than this view.
_KNOWS_PERIODS = "select to_regclass('gaq.source_outdated_periods') is not null"
_OUTDATED = """exists (select from gaq.source_outdated_periods o
               join gaq.source_flags f on f.id = o.flag_id
               join gaq.source_gaq_detectors d on d.data_pass_id = given.data_pass_id
                    and d.run_number = given.run_number and d.detector_id = f.detector_id
               where o.data_pass_id = given.data_pass_id and o.run_number = given.run_number
                 and f.data_pass_id = given.data_pass_id)"""


@dataclass(slots=True)
class LegacyComparison:
    """Count the pairs of each reason."""

    reasons: Counter[Reason] = field(default_factory=Counter)

    @property
    def good(self) -> bool:
        """Return whether each difference has a known reason."""
        return not self.reasons[Reason.UNEXPLAINED]

    def summary(self) -> str:
        """Return a line for each reason with its number of pairs, in the order of ``Reason``."""
        lines = [f"{number(self.reasons.total())} summaries that the application had stored, compared with ours:"]
        lines += [f"{number(self.reasons[why]):>9}  {why.value}" for why in Reason if self.reasons[why]]
        return "\n".join(lines)


def count_summaries(connection: Connection[TupleRow]) -> int:
    """Return how many summaries the application had stored.

    Raises:
        GaqListenError: the installation has adopted no table.
    """
    if connection.execute(_THERE).fetchall() != [(True,)]:
        raise GaqListenError("the installation has adopted no table gaq_summaries, so there is nothing to compare with")
    ((stored,),) = connection.execute(_COUNT).fetchall()
    return int(stored)


def compare(
    connection: Connection[TupleRow],
    report: Callable[[Difference, Reason], object],
    advance: Callable[[int], object] = lambda pairs: None,
) -> LegacyComparison:
    """Compare all summaries.

    Calls ``report`` with each difference and its reason, and ``advance`` with the number of pairs of each batch.
    """
    result = LegacyComparison()
    pairs = connection.execute(_PAIRS).fetchall()
    for start in range(0, len(pairs), BATCH):
        batch = [(row[0], row[1]) for row in pairs[start : start + BATCH]]
        for difference, why in _compared(connection, batch):
            result.reasons[why] += 1
            if why is not Reason.AGREES:
                report(difference, why)
        advance(len(batch))
    return result


def _compared(connection: Connection[TupleRow], pairs: list[tuple[int, int]]) -> Iterator[tuple[Difference, Reason]]:
    width = len(fields(SummaryValues))
    known = connection.execute(_KNOWS_PERIODS).fetchall() == [(True,)]
    compared = _COMPARED.replace("{outdated}", _OUTDATED if known else "false")
    for row in connection.execute(compared.encode(), (*columns(pairs), _CHANGES, _CHANGES)).fetchall():
        theirs, ours = SummaryValues(*row[3 : 3 + width]), SummaryValues(*row[3 + width : 3 + 2 * width])
        stored, recomputed = theirs.by_column(), ours.by_column()
        facts = PairFacts(*row[3 + 2 * width :])
        differs = ", ".join(name for name in stored if stored[name] != recomputed[name])
        difference = Difference(row[0], row[1], row[2], differs if facts.exists else "left", stored, recomputed)
        yield difference, reason(theirs, ours, facts)

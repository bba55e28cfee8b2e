-- The summary of a whole data pass: the stored summaries of its runs, each weighted by the length of the run.
--   select * from gaq.data_pass_summaries where data_pass = 'LHC22o_apass7';

set role gaq_owner;

-- The length of each run. A run has no row if its QC times are missing, infinite or in the wrong order.
create or replace view gaq.run_lengths as
select run_number::bigint as run_number, date_part('epoch', qc_time_end - qc_time_start) as seconds
from gaq.source_runs
where isfinite(qc_time_start) and isfinite(qc_time_end) and qc_time_start < qc_time_end;

-- The coverages are fractions of all hours together. A run counts if it has values and a length, even if it is stale, and
-- the column `stale` has the number of stale runs. The rest of the hours is undecided, because a detector has no flag.
create or replace view gaq.data_pass_summaries as
select data_pass_id,
       named.name as data_pass,
       runs,
       seconds / 3600 as hours,             -- of the runs that count in the coverages
       bad / nullif(seconds, 0) as bad_run_coverage,
       good / nullif(seconds, 0) as explicitly_not_bad_run_coverage,
       mc_reproducible / nullif(seconds, 0) as mc_reproducible_coverage,
       greatest(0, seconds - bad - good - mc_reproducible) / nullif(seconds, 0) as undecided_coverage,
       not_computable,
       missing_verifications,
       undefined_quality_periods,
       stale,
       stale_since                          -- the oldest mark; null: everything is fresh
from (
    select s.data_pass_id,
           count(*) as runs,
           coalesce(sum(l.seconds) filter (where s.bad_run_coverage is not null), 0) as seconds,
           coalesce(sum(s.bad_run_coverage * l.seconds), 0) as bad,
           coalesce(sum(s.explicitly_not_bad_run_coverage * l.seconds), 0) as good,
           coalesce(sum(s.mc_reproducible_coverage * l.seconds), 0) as mc_reproducible,
           count(*) filter (where s.not_computable) as not_computable,
           coalesce(sum(s.missing_verifications_count), 0) as missing_verifications,
           coalesce(sum(s.undefined_quality_periods_count), 0) as undefined_quality_periods,
           count(s.invalidated_at) as stale,
           min(s.invalidated_at) as stale_since
    from gaq.current_summaries s
    left join gaq.run_lengths l using (run_number)
    group by s.data_pass_id
) summed
left join gaq.source_data_passes named on named.id = data_pass_id;

comment on view gaq.data_pass_summaries is
    'The stored summaries of each data pass, summed up: coverages are fractions of the hours of all runs that have values';

grant select on gaq.run_lengths, gaq.data_pass_summaries to gaq_reader;
reset role;

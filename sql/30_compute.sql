-- The computation: the Global Aggregated Quality of any number of pairs, in one statement, from the views of 20_sources.sql.
-- It reads and returns; it stores nothing. EXPLAIN its body with arrays of pairs to see what it costs.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

-- Lengths are whole microseconds in double precision: exact, so that parts add up to the whole.
create or replace function gaq.microseconds(interval) returns double precision
language sql immutable parallel safe
return round(date_part('epoch', $1) * 1e6);

create or replace function gaq.refuse(reason text) returns int
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '%', reason;
end
$$;

-- Given: parallel arrays of data_pass_id and run_number. Returned: one row a distinct pair; a pair that cannot be
-- computed has not_computable and no values.
create or replace function gaq.compute(data_pass_ids bigint[], run_numbers bigint[])
returns table (
    data_pass_id bigint,
    run_number bigint,
    bad_run_coverage double precision,
    explicitly_not_bad_run_coverage double precision,
    mc_reproducible_coverage double precision,
    missing_verifications_count int,
    undefined_quality_periods_count int,
    not_computable bool
)
language plpgsql stable security definer rows 10
set search_path = pg_catalog, pg_temp
set row_security = off                      -- an error, rather than a summary of the rows that a policy lets through
set plan_cache_mode = force_generic_plan    -- planning would take longer than computing
set jit = off
as $$
#variable_conflict use_column
begin
return query

-- The pairs: the window of the run, [w_start, w_end), and the detectors that matter. The integer key makes sorts cheap.
with pair as materialized (
    select given.pair, given.data_pass_id, given.run_number,
           run.qc_time_start as w_start, run.qc_time_end as w_end,
           listed.detectors, listed.n,
           coalesce(isfinite(run.qc_time_start) and isfinite(run.qc_time_end)
                    and run.qc_time_start < run.qc_time_end, false)
               and listed.n > 0
               and exists (select from gaq.source_flags f
                           where f.data_pass_id = given.data_pass_id and f.run_number = given.run_number) as computable
    from (
        select row_number() over ()::int as pair, u.data_pass_id, u.run_number
        from (select distinct * from unnest(data_pass_ids, run_numbers)) u (data_pass_id, run_number)
    ) given
    left join gaq.source_runs run on run.run_number = given.run_number
    cross join lateral (
        select array_agg(distinct d.detector_id) as detectors, count(distinct d.detector_id)::int as n
        from gaq.source_gaq_detectors d
        where d.data_pass_id = given.data_pass_id and d.run_number = given.run_number
    ) listed
),

-- Their flags on those detectors, clipped to the window. greatest() and least() pass over nulls, so that no bound
-- means the window's.
flag as (
    select p.pair, f.id, f.detector_id, f.flag_type_id, f.created_at,
           tstzrange(greatest(f.starts, p.w_start), least(f.ends, p.w_end)) as span
    from pair p
    join gaq.source_flags f on f.data_pass_id = p.data_pass_id and f.run_number = p.run_number
    where p.computable
      and f.detector_id = any (p.detectors)
      and greatest(f.starts, p.w_start) < least(f.ends, p.w_end)
),

-- Effective periods: what the later flags on the same detector leave of a flag.
effective as materialized (
    select pair, id, flag_type_id,
           tstzmultirange(span) - coalesce(range_agg(span) over later, '{}') as periods
    from flag
    window later as (partition by pair, detector_id order by created_at desc, id desc
                     rows between unbounded preceding and 1 preceding)
),

-- A detector has at most one effective flag at a time. So a running sum over the bounds of effective periods counts, at
-- any instant, the detectors that are covered, those whose flag is bad, and those whose flag is MC reproducible. The
-- three counters share an integer: covered + 2^10 bad + 2^20 MC reproducible, at most 1023 of each.
period as (
    select e.pair, unnest(e.periods) as span,
           case when t.mc_reproducible then 1 + 1048576 when t.bad then 1 + 1024 else 1 end as counters
    from effective e
    join gaq.source_flag_types t on t.id = e.flag_type_id
),
instant as (
    select pair, at, sum(change) as change
    from (
        select pair, lower(span) as at, counters as change from period
        union all
        select pair, upper(span), -counters from period
        union all
        select pair, w_start, 0 from pair where computable
        union all
        select pair, w_end, 0 from pair where computable
    ) bound
    group by pair, at
),
-- Elementary periods: from each bound to the next. The last row, at the end of the window, has no length.
elementary as (
    select pair, lead(at) over timeline - at as length, sum(change::int) over timeline as counters
    from instant
    window timeline as (partition by pair order by at)
),
counted as (
    select pair, gaq.microseconds(length) as length,
           (counters & 1023)::int as covered, (counters >> 10) & 1023 as bad, counters >> 20 as mc_reproducible
    from elementary
    where length is not null
),
coverage as (
    select c.pair,
           sum(length) filter (where covered = n and bad > 0) as bad,
           sum(length) filter (where covered = n and bad = 0 and mc_reproducible > 0) as mc_reproducible,
           sum(length) filter (where covered = n and bad = 0 and mc_reproducible = 0) as good,
           sum(n - covered) as undefined
    from counted c
    join pair using (pair)
    group by c.pair
),

missing as (
    select pair, count(*) as verifications
    from effective e
    where not isempty(periods)
      and not exists (select from gaq.source_verifications v where v.flag_id = e.id)
    group by pair
)

select p.data_pass_id, p.run_number,
       case when p.computable then coalesce(c.bad, 0) / whole.length end,
       case when p.computable then coalesce(c.good, 0) / whole.length end,
       case when p.computable then coalesce(c.mc_reproducible, 0) / whole.length end,
       case when p.computable then coalesce(m.verifications, 0)::int end,
       case when p.computable then c.undefined::int end,
       not p.computable
from pair p
left join coverage c using (pair)
left join missing m using (pair)
cross join lateral (
    select case when p.n > 1023 then gaq.refuse(format(
                    'run %s in data pass %s has %s GAQ detectors: at most 1023 can be counted',
                    p.run_number, p.data_pass_id, p.n))
                when p.computable then gaq.microseconds(p.w_end - p.w_start)
           end as length
) whole;

end
$$;

revoke all on all routines in schema gaq from public;
reset role;

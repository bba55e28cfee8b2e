-- The computation: the Global Aggregated Quality of any number of pairs, in one statement, from the views of 20_sources.sql.
-- It reads and returns; it stores nothing. EXPLAIN its body with arrays of pairs to see what it costs.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

-- Lengths are whole microseconds in double precision: exact, so that parts add up to the whole.
create or replace function gaq.microseconds(interval) returns double precision
language sql immutable parallel safe
return round(date_part('epoch', $1) * 1e6);

-- The union of what came so far. (range_agg would sort all of that again for each row of a window.)
create or replace aggregate gaq.union_of(tstzmultirange) (sfunc = multirange_union, stype = tstzmultirange, initcond = '{}');

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
set enable_seqscan = off                    -- a plan made while there was little must do when there is much
set jit = off
as $$
#variable_conflict use_column
begin
return query

-- The pairs: the window of the run, and the detectors that matter. (An integer key makes sorts and joins cheap. OFFSET 0
-- keeps apart what is asked of one pair: from an empty table's statistics another index would look as good.)
with pair as materialized (
    select given.pair, given.data_pass_id, given.run_number, run.w_start, run.w_end,
           tstzmultirange(tstzrange(w_start, w_end)) as whole,
           listed.detectors, coalesce(cardinality(listed.detectors), 0) as n
    from (
        select row_number() over ()::int as pair, u.data_pass_id, u.run_number
        from (select distinct * from unnest(data_pass_ids, run_numbers)) u (data_pass_id, run_number)
    ) given
    left join (
        select run_number, qc_time_start as w_start, qc_time_end as w_end
        from gaq.source_runs
        where isfinite(qc_time_start) and isfinite(qc_time_end) and qc_time_start < qc_time_end
    ) run on run.run_number = given.run_number
    cross join lateral (
        select array_agg(distinct d.detector_id) as detectors
        from (
            select * from gaq.source_gaq_detectors d
            where d.data_pass_id = given.data_pass_id and d.run_number = given.run_number offset 0
        ) d
    ) listed
),

-- Their flags on those detectors, clipped to the window. greatest() and least() pass over nulls, so that no bound
-- means the window's.
flag as (
    select p.pair, f.detector_id, f.id, f.flag_type_id, f.created_at,
           tstzmultirange(tstzrange(greatest(f.starts, p.w_start), least(f.ends, p.w_end))) as span
    from pair p
    cross join lateral (
        select * from gaq.source_flags f
        where f.data_pass_id = p.data_pass_id and f.run_number = p.run_number offset 0      -- by index, pair by pair
    ) f
    where p.w_start is not null
      and f.detector_id = any (p.detectors)
      and greatest(f.starts, p.w_start) < least(f.ends, p.w_end)
    offset 0      -- the span is computed once, not once a use
),

-- Effective periods: what the later flags on the same detector leave of a flag. At the earliest flag of a detector also
-- what all of them cover together.
effective as materialized (
    select pair, id, flag_type_id,
           span - gaq.union_of(span) over later as periods,
           case when lead(id) over later is null then span + gaq.union_of(span) over later end as covered
    from flag
    window later as (partition by pair, detector_id order by created_at desc, id desc
                     rows between unbounded preceding and 1 preceding)
),

-- When some flag says bad, and when one says MC reproducible; when every detector is covered, of those that have flags at
-- all; and how many flags nobody has verified. (Types and verifications by arrays: few rows are expected here, so that a
-- join would be a nested loop.)
flagged as materialized (
    select pair,
           gaq.union_of(periods) filter (where flag_type_id = any (array(
               select id from gaq.source_flag_types where bad and mc_reproducible is not true))) as bad,
           gaq.union_of(periods) filter (where flag_type_id = any (array(
               select id from gaq.source_flag_types where mc_reproducible))) as mc_reproducible,
           count(covered) as detectors,
           range_intersect_agg(covered) as covered,
           count(*) filter (where not isempty(periods) and id not in (
               select flag_id from gaq.source_verifications where flag_id = any (array(select id from effective)))) as missing
    from effective
    group by pair
),

-- Where detectors are not covered, the window is cut at every bound of an effective period, and each gap of a detector
-- counts the elementary periods in it. Most pairs have no gap.
incomplete as materialized (
    select p.pair, p.w_start, p.w_end, p.whole, p.n - coalesce(f.detectors, 0) as without_flag
    from pair p
    left join flagged f using (pair)
    where p.w_start is not null and p.n > 0 and (f.detectors is distinct from p.n or f.covered <> p.whole)
),
gap as (
    select i.pair, unnest(i.whole - e.covered) as gap
    from incomplete i
    join effective e using (pair)
    where e.covered is not null
    union all
    select i.pair, unnest(i.whole)
    from incomplete i
    cross join generate_series(1, i.without_flag)
),
cut as (
    select pair, array_agg(distinct at order by at) as cuts
    from (
        select i.pair, unnest(array[w_start, w_end]) as at from incomplete i
        union all
        select pair, unnest(array[lower(period), upper(period)])
        from (select i.pair, unnest(e.periods) as period from incomplete i join effective e using (pair)) p
    ) bound
    group by pair
),
undefined as (
    select pair, sum(width_bucket(upper(gap), cuts) - width_bucket(lower(gap), cuts)) as periods
    from gap
    join cut using (pair)
    group by pair
)

-- How long each was, by the length of the window. Without that, because it is not computable, all values are null.
-- (Subselects rather than a function: it could not be inlined.)
select k.data_pass_id, k.run_number,
       coalesce(gaq.microseconds((select sum(upper(r) - lower(r)) from unnest(k.covered * k.bad) r)), 0) / k.length,
       coalesce(gaq.microseconds((select sum(upper(r) - lower(r))
                                  from unnest(k.covered - k.bad - k.mc_reproducible) r)), 0) / k.length,
       coalesce(gaq.microseconds((select sum(upper(r) - lower(r))
                                  from unnest(k.covered * k.mc_reproducible - k.bad) r)), 0) / k.length,
       case when k.length is not null then k.missing end,
       case when k.length is not null then k.undefined end,
       k.length is null
from (
    select p.data_pass_id, p.run_number,
           coalesce(f.bad, '{}') as bad, coalesce(f.mc_reproducible, '{}') as mc_reproducible,
           case when f.detectors = p.n then f.covered else '{}' end as covered,
           coalesce(f.missing, 0)::int as missing, coalesce(u.periods, 0)::int as undefined,
           case when p.n > 1023      -- a mistake: the list would be computed for long, and hold up the others
                then gaq.refuse(format('run %s in data pass %s has %s GAQ detectors: at most 1023 can be counted',
                                       p.run_number, p.data_pass_id, p.n))
                when p.n > 0 and (f.pair is not null or exists (
                    select from gaq.source_flags other
                    where other.data_pass_id = p.data_pass_id and other.run_number = p.run_number offset 0))
                then gaq.microseconds(p.w_end - p.w_start) end as length
    from pair p
    left join flagged f using (pair)
    left join undefined u using (pair)
    offset 0
) k;

end
$$;

revoke all on all routines in schema gaq from public;
reset role;

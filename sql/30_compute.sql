-- The computation of the Global Aggregated Quality of any number of pairs, in one statement, from the source views. The
-- functions store nothing. To see the cost of the statement, run EXPLAIN on the body of gaq.compute with arrays of pairs.

set role gaq_owner;

-- Returns the length of an interval in whole microseconds. Double precision represents them exactly, so that parts add up
-- to the whole.
create or replace function gaq.microseconds(interval) returns double precision
language sql immutable parallel safe
return round(date_part('epoch', $1) * 1e6);

-- Returns the union of all values so far. (range_agg would sort all of them again for each row of a window.)
create or replace aggregate gaq.union_of(tstzmultirange) (sfunc = multirange_union, stype = tstzmultirange, initcond = '{}');

create or replace function gaq.raise_error(reason text) returns int
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '%', reason;
end
$$;

-- Computes the pairs that two parallel arrays of data_pass_id and run_number name. Returns one row for each distinct
-- pair. A pair that is not computable has not_computable = true and no values.
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
declare
    read_at_once bigint[] := '{}';      -- the data passes of which all flags are read, see gaq.source_reads_data_pass
begin
if cardinality(data_pass_ids) > 1 then
    read_at_once := array(
        select id from unnest(data_pass_ids) u (id) where id is not null
        group by id having gaq.source_reads_data_pass(id, count(*)));
end if;
return query

-- The pairs: the window of the run, and the detectors that matter. (An integer key makes sorts and joins cheap. OFFSET 0
-- here and below is a planner fence, see docs/architecture.md.)
with pair as materialized (
    select given.pair, given.data_pass_id, given.run_number, run.w_start, run.w_end,
           listed.detectors, coalesce(cardinality(listed.detectors), 0) as n
    from (
        select row_number() over ()::int as pair, u.data_pass_id, u.run_number
        from (select distinct * from unnest(data_pass_ids, run_numbers)) u (data_pass_id, run_number)
    ) given
    left join lateral (
        select r.qc_time_start as w_start, r.qc_time_end as w_end
        from gaq.source_runs r
        where r.run_number = given.run_number
          and isfinite(r.qc_time_start) and isfinite(r.qc_time_end) and r.qc_time_start < r.qc_time_end offset 0
    ) run on true
    cross join lateral (
        select array_agg(distinct d.detector_id::bigint) as detectors
        from (
            select * from gaq.source_gaq_detectors d
            where d.data_pass_id = given.data_pass_id and d.run_number = given.run_number offset 0
        ) d
    ) listed
),

-- Their flags on those detectors, pair by pair, or from all flags of a data pass where that costs less; clipped to the
-- window. greatest() and least() pass over nulls, so that no bound means the window's.
flag as (
    select pair, detector_id, id, flag_type_id, created_at,
           tstzmultirange(tstzrange(starts, ends)) as span, starts = w_start and ends = w_end as whole
    from (
        select p.pair, p.w_start, p.w_end, f.id, f.detector_id, f.flag_type_id, f.created_at,
               greatest(f.starts, p.w_start) as starts, least(f.ends, p.w_end) as ends
        from pair p
        cross join lateral (
            select * from gaq.source_flags_of(p.data_pass_id, p.run_number, p.detectors) offset 0      -- by index
        ) f
        where p.w_start is not null and p.data_pass_id <> all (read_at_once)
        union all
        select p.pair, p.w_start, p.w_end, f.id, f.detector_id, f.flag_type_id, f.created_at,
               greatest(f.starts, p.w_start), least(f.ends, p.w_end)
        from unnest(read_at_once) d (data_pass_id)
        cross join lateral gaq.source_flags_of_data_pass(      -- (not inlined, because an argument is a subselect)
            d.data_pass_id, array(select distinct unnest(detectors) from pair)) f
        join pair p on p.data_pass_id = d.data_pass_id and p.run_number = f.run_number
        where p.w_start is not null and f.detector_id = any (p.detectors)
        offset 0
    ) clipped
    where starts < ends
    offset 0      -- the span is computed once, not once a use
),

-- Effective periods: what the later flags on the same detector leave of a flag.
effective as (
    select pair, detector_id, id, flag_type_id, whole, span - gaq.union_of(span) over later as periods
    from flag
    window later as (partition by pair, detector_id order by created_at desc, id desc
                     rows between unbounded preceding and 1 preceding)
),

-- When some flag says bad, and when one says MC reproducible; the detectors with a flag for the whole window; and what is
-- asked of single flags below, as parallel arrays. (Types and verifications by arrays: few rows are expected here, so that
-- a join would be a nested loop.)
flagged as materialized (
    select pair,
           gaq.union_of(periods) filter (where flag_type_id = any (array(
               select id::bigint from gaq.source_flag_types where bad and mc_reproducible is not true))) as bad,
           gaq.union_of(periods) filter (where flag_type_id = any (array(
               select id::bigint from gaq.source_flag_types where mc_reproducible))) as mc_reproducible,
           array_agg(distinct detector_id) filter (where whole) as complete,
           array_agg(detector_id) as detector_ids,
           array_agg(periods) as periods,
           array_agg(id) filter (where not isempty(periods)) as ids
    from effective
    group by pair
),

-- How many flags with an effective period nobody has verified.
missing as (
    select pair, count(*) as verifications
    from (select pair, unnest(ids) as id from flagged) counted
    where id not in (
        select flag_id::bigint from gaq.source_verifications where flag_id = any (array(select unnest(ids) from flagged)))
    group by pair
),

-- A detector with a flag for the whole window has no gap, and often that is all of them. Else, the gaps of the others.
incomplete as materialized (
    select p.pair, p.w_start, p.w_end, p.detectors, coalesce(f.complete, '{}') as complete, f.detector_ids, f.periods
    from pair p
    left join flagged f using (pair)
    where p.w_start is not null and p.n > coalesce(cardinality(f.complete), 0)
),
gap as materialized (
    select i.pair, unnest(tstzmultirange(tstzrange(i.w_start, i.w_end)) - coalesce(c.covered, '{}')) as gap
    from incomplete i
    cross join unnest(i.detectors) d (detector_id)
    left join (
        select pair, detector_id, range_agg(period) as covered
        from (
            select i.pair, f.detector_id, unnest(f.periods) as period
            from incomplete i
            cross join unnest(i.detector_ids, i.periods) f (detector_id, periods)
            where f.detector_id <> all (i.complete)
        ) p
        group by pair, detector_id
    ) c using (pair, detector_id)
    where (d.detector_id = any (i.complete)) is not true      -- null, which no flag can name, is a gap, too
),

-- There the window is cut at every bound of an effective period, and each gap counts the elementary periods in it. (Where a
-- period ends, another begins on its detector, or a gap, or the window ends.)
cut as (
    select pair, array_agg(distinct at order by at) as cuts
    from (
        select i.pair, lower(unnest(f.periods)) as at from incomplete i cross join unnest(i.periods) f (periods)
        union all
        select pair, lower(gap) from gap
        union all
        select pair, w_end from incomplete
    ) bound
    group by pair
),
undefined as (
    select pair, range_agg(gap) as gaps,
           sum(width_bucket(upper(gap), cuts) - width_bucket(lower(gap), cuts)) as periods
    from gap
    join cut using (pair)
    group by pair
)

-- How long each was where no detector has a gap; what is left is good. (In intervals, which are exact however long.) All by
-- the length of the window: without that, because it is not computable, all values are null. (Subselects rather than a
-- function: it could not be inlined.)
select data_pass_id, run_number,
       gaq.microseconds(bad) / length,
       gaq.microseconds(whole - gaps - bad - mc_reproducible) / length,
       gaq.microseconds(mc_reproducible) / length,
       case when length is not null then missing end,
       case when length is not null then undefined end,
       length is null
from (
    select data_pass_id, run_number, missing, undefined, whole, length,
           coalesce((select sum(upper(r) - lower(r)) from (select unnest(bad - gaps) as r) r), '0') as bad,
           coalesce((select sum(upper(r) - lower(r)) from (select unnest(mc_reproducible - bad - gaps) as r) r), '0')
               as mc_reproducible,
           coalesce((select sum(upper(r) - lower(r)) from (select unnest(gaps) as r) r), '0') as gaps
    from (
        select p.data_pass_id, p.run_number,
               coalesce(f.bad, '{}') as bad, coalesce(f.mc_reproducible, '{}') as mc_reproducible,
               coalesce(u.gaps, '{}') as gaps, coalesce(u.periods, 0)::int as undefined,
               coalesce(m.verifications, 0)::int as missing, p.w_end - p.w_start as whole,
               case when p.n > 1023      -- a mistake: the list would be computed for long, and hold up the others
                    then gaq.raise_error(format('run %s in data pass %s has %s GAQ detectors: at most 1023 can be counted',
                                           p.run_number, p.data_pass_id, p.n))
                    when p.n > 0 and (f.pair is not null or exists (
                        select from gaq.source_flags other
                        where other.data_pass_id = p.data_pass_id and other.run_number = p.run_number offset 0))
                    then gaq.microseconds(p.w_end - p.w_start) end as length
        from pair p
        left join flagged f using (pair)
        left join undefined u using (pair)
        left join missing m using (pair)
        offset 0
    ) kinds
    offset 0
) lengths;

end
$$;

reset role;

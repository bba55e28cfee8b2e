-- The elementary periods of a pair. `gaq-listen explain` draws and exports them, and every reader may select them.
--   select * from gaq.periods(12, 526525);
-- This is the one definition of elementary periods; added up, they are the summary that gaq.compute computes:
--   each coverage         the length of the periods of that quality, by the length of all
--   missing verifications the distinct flags in unverified_flag_ids
--   undefined periods     the number of all entries in detectors_without_flag

set role gaq_owner;

-- Returns the elementary periods of a pair in order, without gaps, or no row if the pair is not computable. The function
-- computes from the flags in the caller's snapshot, so the periods are never stale. It reads as its owner, and only reads.
create or replace function gaq.periods(data_pass_id bigint, run_number bigint)
returns table (
    "from" timestamptz,
    "to" timestamptz,
    quality text,                           -- good, mc_reproducible, bad, or undefined: a detector has no flag
    flag_ids bigint[],                      -- the effective flags on detectors that matter
    unverified_flag_ids bigint[],           -- those of them that nobody has verified
    detectors_without_flag bigint[]         -- the detectors that matter and have none
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off                      -- an error, rather than the periods of the flags that a policy lets through
begin atomic
    with run as (
        select r.qc_time_start as w_start, r.qc_time_end as w_end
        from gaq.source_runs r
        where r.run_number = periods.run_number
          and isfinite(r.qc_time_start) and isfinite(r.qc_time_end) and r.qc_time_start < r.qc_time_end
    ), listed as materialized (
        select array_agg(distinct d.detector_id) as detectors
        from gaq.source_gaq_detectors d
        where d.data_pass_id = periods.data_pass_id and d.run_number = periods.run_number
    ), flag as materialized (
        select f.flag_id, f.detector_id, f.bad, f.mc_reproducible, f.verifications, f.effective
        from gaq.explain_flags(periods.data_pass_id, periods.run_number) f
    ), effective as materialized (
        -- On one detector these do not overlap: explain_flags has taken away what a later flag hides.
        select f.flag_id, f.detector_id, f.bad, f.mc_reproducible, f.verifications, unnest(f.effective) as period
        from flag f
        cross join listed l
        where f.detector_id = any (l.detectors)
    ), bound as (
        select lower(e.period) as at from effective e
        union
        select upper(e.period) from effective e
        union
        select r.w_start from run r
        union
        select r.w_end from run r
    ), elementary as (
        select b.at as starts, lead(b.at) over (order by b.at) as ends from bound b
    )
    select e.starts, e.ends,
           case when cardinality(c.detectors) < cardinality(l.detectors) then 'undefined'
                when c.bad then 'bad'
                when c.mc_reproducible then 'mc_reproducible'
                else 'good' end,
           c.flags, c.unverified,
           array(select d.detector from unnest(l.detectors) d (detector)
                 where (d.detector = any (c.detectors)) is not true       -- null, which no flag can name, has none
                 order by d.detector)
    from elementary e
    cross join listed l
    cross join lateral (
        select coalesce(array_agg(f.flag_id order by f.flag_id), '{}') as flags,
               coalesce(array_agg(f.flag_id order by f.flag_id) filter (where f.verifications = 0), '{}') as unverified,
               coalesce(array_agg(f.detector_id), '{}') as detectors,
               bool_or(f.bad and not f.mc_reproducible) as bad,
               bool_or(f.mc_reproducible) as mc_reproducible
        from effective f
        where f.period @> e.starts
    ) c
    where e.ends is not null and cardinality(l.detectors) > 0
      and exists (select from run) and exists (select from flag)
    order by e.starts;
end;

comment on function gaq.periods(bigint, bigint) is
    'The elementary periods of a pair (data_pass_id, run_number), computed now, in order; no row: it is not computable';

grant execute on function gaq.periods(bigint, bigint) to gaq_reader;
reset role;

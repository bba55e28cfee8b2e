-- Summaries that are never stale: what gaq_summaries shows, with every stale pair computed in the caller's own snapshot.
--   select * from gaq.live_summaries(12);
--   select * from gaq.live_summaries(12, array[526525, 526641]);
-- A reader gets correct values also while workers are paused, behind or not running. The function stores and locks nothing.

set role gaq_owner;

-- Returns live summaries of a data pass, or of some of its runs. STABLE: every query in the function reads the snapshot of the query that
-- called it, so the marks and the flags are of the same moment. A pair that cannot be computed keeps its stored values, stays
-- marked as stale, and has an error; the others are computed all the same. (compute_apart catches the error of each pair; its
-- subtransactions take no transaction id, so a standby can do that.)
-- A pair that has left the data pass is not shown, also before a worker has removed its summary.
create or replace function gaq.live_summaries(
    of_data_pass_id bigint,                 -- (data_pass_id is the name of a column that is returned)
    run_numbers bigint[] default null,      -- null: all
    max_stale int default 1000              -- an error when more are stale, because that would take long; null: no bound
)
returns table (
    data_pass_id bigint,
    run_number bigint,
    bad_run_coverage double precision,
    explicitly_not_bad_run_coverage double precision,
    mc_reproducible_coverage double precision,
    missing_verifications_count int,
    undefined_quality_periods_count int,
    not_computable bool,
    invalidated_at timestamptz,             -- null: the values are right now; else stale since, and the error says why
    created_at timestamptz,
    updated_at timestamptz,                 -- when the values were computed
    computed_now bool,                      -- by this query; false: they are the stored ones
    error text                              -- why the pair cannot be computed
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off                      -- an error, rather than a summary of the rows that a policy lets through
set plan_cache_mode = force_generic_plan    -- planning would take longer than reading
set enable_seqscan = off                    -- a plan made while there was little must do when there is much
as $$
#variable_conflict use_column
declare
    stale bigint[];
    since timestamptz[];
    existing bigint[];
begin
    if exists (select from gaq.detached) then
        raise exception 'gaq-listen is detached from the source tables, so nothing can be computed now'
            using hint = 'read gaq_summaries, where every summary counts as stale; gaq-listen install attaches again',
                  errcode = 'object_not_in_prerequisite_state';
    end if;

    -- Wide marks are rare. Without one, the marks of pairs are all there is: the plan for both may go through the flags.
    if exists (select from gaq.wide_invalidations) then
        select array_agg(p.run_number), array_agg(p.invalidated_at)
        into stale, since
        from gaq.pending p
        where p.data_pass_id = of_data_pass_id
          and (run_numbers is null or p.run_number = any (run_numbers));
    else
        select array_agg(marked.run_number), array_agg(marked.invalidated_at)
        into stale, since
        from (
            select i.run_number, min(i.invalidated_at) as invalidated_at
            from gaq.invalidations i
            where i.data_pass_id = of_data_pass_id
              and (run_numbers is null or i.run_number = any (run_numbers))
            group by i.run_number
        ) marked;
    end if;

    if stale is null then
        return query
        select s.data_pass_id, s.run_number, s.bad_run_coverage, s.explicitly_not_bad_run_coverage,
               s.mc_reproducible_coverage, s.missing_verifications_count, s.undefined_quality_periods_count,
               s.not_computable, null::timestamptz, s.created_at, s.updated_at, false, null::text
        from gaq.summaries s
        where s.data_pass_id = of_data_pass_id
          and (run_numbers is null or s.run_number = any (run_numbers));
        return;
    end if;

    existing := array(
        select u.run_number
        from unnest(stale) u (run_number)
        where exists (select from gaq.source_pairs p
                      where p.data_pass_id = of_data_pass_id and p.run_number = u.run_number offset 0));
    if cardinality(existing) > max_stale then
        raise exception '% runs of this data pass are stale: at most % are computed at once',
                        cardinality(existing), max_stale
            using hint = 'name fewer runs, or wait until a worker has refreshed them: gaq-listen status',
                  errcode = 'program_limit_exceeded';
    end if;

    return query
    with computed as materialized (
        select c.*
        from gaq.compute_apart(array_fill(of_data_pass_id, array[cardinality(existing)]), existing) c
    )
    select s.data_pass_id, s.run_number, s.bad_run_coverage, s.explicitly_not_bad_run_coverage,
           s.mc_reproducible_coverage, s.missing_verifications_count, s.undefined_quality_periods_count,
           s.not_computable, null::timestamptz, s.created_at, s.updated_at, false, null::text
    from gaq.summaries s
    where s.data_pass_id = of_data_pass_id
      and (run_numbers is null or s.run_number = any (run_numbers))
      and s.run_number not in (select unnest(stale))
    union all
    select c.data_pass_id, c.run_number, c.bad_run_coverage, c.explicitly_not_bad_run_coverage,
           c.mc_reproducible_coverage, c.missing_verifications_count, c.undefined_quality_periods_count,
           c.not_computable, null, s.created_at, statement_timestamp(), true, null
    from computed c
    left join gaq.summaries s on s.data_pass_id = c.data_pass_id and s.run_number = c.run_number
    where c.error is null
    union all
    select c.data_pass_id, c.run_number, s.bad_run_coverage, s.explicitly_not_bad_run_coverage,
           s.mc_reproducible_coverage, s.missing_verifications_count, s.undefined_quality_periods_count,
           s.not_computable, m.invalidated_at, s.created_at, s.updated_at, false, c.error
    from computed c
    join unnest(stale, since) m (run_number, invalidated_at) on m.run_number = c.run_number
    left join gaq.summaries s on s.data_pass_id = c.data_pass_id and s.run_number = c.run_number
    where c.error is not null;
end
$$;

comment on function gaq.live_summaries(bigint, bigint[], int) is
    'What gaq_summaries shows of a data pass, with every stale pair computed now, on the caller''s snapshot; nothing is stored';

grant execute on function gaq.live_summaries(bigint, bigint[], int) to gaq_reader;
reset role;

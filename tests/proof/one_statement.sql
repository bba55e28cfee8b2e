-- A mutant of gaq.refresh in 40_refresh.sql: it claims, deletes and computes in one statement, so all on one snapshot, and
-- that may be older than the last change of a summary that it claims.

drop function gaq.refresh;
create function gaq.refresh(
    max_pairs int, quiet interval, max_wait interval, announce bool, worker text, passes bigint[], runs bigint[]
)
returns table (
    data_pass_id bigint, data_pass text, run_number bigint, seconds_stale double precision, causes text,
    good_before double precision, good_after double precision, removed bool,
    error text, attempts int, next_try double precision
)
language plpgsql
as $$
#variable_conflict use_column
begin
    perform gaq.expand();
    with now as materialized (
        select gaq.gate(5)      -- 'claim': the snapshot is taken, nothing is claimed yet
    ), claimed as materialized (
        select s.data_pass_id, s.run_number
        from now, gaq.summaries s
        where exists (select from gaq.invalidations i
                      where (i.data_pass_id, i.run_number) = (s.data_pass_id, s.run_number))
        for no key update of s skip locked
    ), folded as (
        delete from gaq.invalidations i using claimed c
        where (i.data_pass_id, i.run_number) = (c.data_pass_id, c.run_number)
    ), fresh as materialized (
        select f.*
        from gaq.compute((select array_agg(data_pass_id) from claimed), (select array_agg(run_number) from claimed)) f
    )
    update gaq.summaries s
    set (bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,
         missing_verifications_count, undefined_quality_periods_count, not_computable)
      = (f.bad_run_coverage, f.explicitly_not_bad_run_coverage, f.mc_reproducible_coverage,
         f.missing_verifications_count, f.undefined_quality_periods_count, f.not_computable)
    from fresh f
    where (f.data_pass_id, f.run_number) = (s.data_pass_id, s.run_number);
end
$$;

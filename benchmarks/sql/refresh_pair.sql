-- What a job of the peers does: the same computation, stored in the same table, told to the same listeners.
create function refresh_pair(data_pass_id bigint, run_number bigint) returns void
language sql
as $$
    update gaq.summaries s
    set bad_run_coverage = f.bad_run_coverage,
        explicitly_not_bad_run_coverage = f.explicitly_not_bad_run_coverage,
        mc_reproducible_coverage = f.mc_reproducible_coverage,
        missing_verifications_count = f.missing_verifications_count,
        undefined_quality_periods_count = f.undefined_quality_periods_count,
        not_computable = f.not_computable,
        updated_at = clock_timestamp()
    from gaq.compute(array[$1], array[$2]) f
    where s.data_pass_id = f.data_pass_id and s.run_number = f.run_number;
    select gaq.announce(array[$1], array[$2]);
$$;

-- Not ours: theirs mark instead.
alter table qc_flags disable trigger gaq_insert, disable trigger gaq_update, disable trigger gaq_delete;

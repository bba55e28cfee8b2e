create function enqueue() returns trigger
language plpgsql
as $$
begin
    perform procrastinate_defer_jobs_v1(array_agg(row(
        'default', 'refresh', 0, null, null,
        jsonb_build_object('data_pass_id', data_pass_id, 'run_number', run_number), null)::procrastinate_job_to_defer_v1))
    from (select distinct data_pass_id, run_number from new_rows) p;
    return null;
end
$$;
create trigger enqueue after insert on qc_flags
    referencing new table as new_rows for each statement execute function enqueue();

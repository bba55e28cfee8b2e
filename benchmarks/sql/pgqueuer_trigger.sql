create function enqueue() returns trigger
language plpgsql
as $$
begin
    insert into pgqueuer (priority, entrypoint, payload, status)
    select 0, 'refresh', convert_to(json_build_array(data_pass_id, run_number)::text, 'UTF8'), 'queued'
    from (select distinct data_pass_id, run_number from new_rows) p;
    return null;
end
$$;
create trigger enqueue after insert on qc_flags
    referencing new table as new_rows for each statement execute function enqueue();

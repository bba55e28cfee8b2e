-- The least that a trigger can do so that a listener refreshes something: it notifies of the pairs, and remembers nothing. A
-- change that is made while nobody listens is lost.
create schema least_listener;

create table least_listener.summaries (
    data_pass_id int not null,
    run_number   int not null,
    updated_at   timestamptz,
    primary key (data_pass_id, run_number)
) with (fillfactor = 70);
insert into least_listener.summaries (data_pass_id, run_number) select data_pass_id, run_number from data_pass_runs;

create function least_listener.notify() returns trigger
language plpgsql
as $$
begin
    perform pg_notify('least_listener', json_build_array(data_pass_id, run_number)::text)
    from (select distinct data_pass_id, run_number from new_rows) p;
    return null;
end
$$;

create trigger least_listener after insert on qc_flags
    referencing new table as new_rows for each statement execute function least_listener.notify();

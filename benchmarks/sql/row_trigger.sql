-- The design to compare with: each row changed upserts its pair's summary and notifies of it.
create schema row_trigger;

create table row_trigger.summaries (
    data_pass_id   int not null,
    run_number     int not null,
    invalidated_at timestamptz,
    primary key (data_pass_id, run_number)
) with (fillfactor = 70);
insert into row_trigger.summaries (data_pass_id, run_number) select data_pass_id, run_number from data_pass_runs;

create function row_trigger.invalidate(data_pass_id int, run_number int) returns void
language sql
as $$
    insert into row_trigger.summaries values ($1, $2, clock_timestamp())
    on conflict on constraint summaries_pkey do update set invalidated_at = excluded.invalidated_at;
    select pg_notify('row_trigger', $1 || ',' || $2);
$$;

create function row_trigger.mark() returns trigger
language plpgsql
as $$
begin
    if tg_op <> 'INSERT' then
        perform row_trigger.invalidate(old.data_pass_id, old.run_number);
    end if;
    if tg_op = 'INSERT' or (tg_op = 'UPDATE'
                            and (new.data_pass_id, new.run_number) is distinct from (old.data_pass_id, old.run_number)) then
        perform row_trigger.invalidate(new.data_pass_id, new.run_number);
    end if;
    return null;
end
$$;

create trigger row_trigger after insert or update or delete on qc_flags
    for each row execute function row_trigger.mark();

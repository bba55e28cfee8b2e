-- The least that a trigger can do to remember a change: it appends it to a table without an index, and tells nobody. No pair
-- could be found there in time, and nobody would look: it shows what is left to gain.
create schema smallest_trigger;

create table smallest_trigger.marks (data_pass_id int, run_number int);

create function smallest_trigger.mark() returns trigger
language plpgsql
as $$
begin
    insert into smallest_trigger.marks select data_pass_id, run_number from new_rows;
    return null;
end
$$;

create trigger smallest_trigger after insert on qc_flags
    referencing new table as new_rows for each statement execute function smallest_trigger.mark();

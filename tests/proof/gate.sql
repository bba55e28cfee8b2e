-- A place where a worker under test waits until its director lets it pass: for an advisory lock that the director holds.
-- Backends that are no such worker's pass at once.
create function gaq.gate(place int) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    worker text := current_setting('proof.worker', true);
begin
    if worker <> '' then
        perform pg_advisory_lock_shared(worker::int, place);
        perform pg_advisory_unlock_shared(worker::int, place);
    end if;
end
$$;

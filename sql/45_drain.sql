-- An operator refreshes without a worker, from psql or pg_cron.
--   call gaq.drain();

set role gaq_owner;

-- Drains the backlog, and commits after each batch.
create or replace procedure gaq.drain(max_pairs int default 400)
language plpgsql
as $$
declare
    refreshed int;
    failing int;
begin
    -- Whatever the session's default is, each batch is READ COMMITTED. That must be said before anything else in a transaction:
    -- so the one of the call ends here, and nothing is asked between a commit and the next batch.
    commit;
    loop
        set transaction isolation level read committed;
        select count(*) into refreshed from gaq.refresh(max_pairs);
        exit when refreshed = 0;
        commit;
    end loop;
    if exists (select from gaq.paused) then
        raise warning 'gaq-listen is paused: nothing is refreshed until gaq.resume()';
    end if;
    select count(*) into failing from gaq.failures;
    if failing > 0 then
        raise warning '% pairs cannot be computed: see gaq.failures', failing;
    end if;
end
$$;

reset role;

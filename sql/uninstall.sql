-- Removes everything of gaq-listen: the triggers from the source tables (they belong to functions of schema gaq), the
-- view gaq_summaries, and schema gaq with all stored summaries and marks. Source tables keep their data.
-- DROP TRIGGER waits for the table's writers to commit, and lets nobody else in while it waits: so not for long.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

do $$
declare
    marking record;
begin
    for marking in
        select tgrelid::regclass as source_table, tgname
        from pg_trigger join pg_proc on pg_proc.oid = tgfoid
        where pronamespace = to_regnamespace('gaq') and tgparentid = 0
        order by 1, 2
    loop
        execute format('drop trigger %I on %s', marking.tgname, marking.source_table);
    end loop;
end
$$;

drop schema if exists gaq cascade;

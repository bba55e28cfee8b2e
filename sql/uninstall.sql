-- Removes everything of gaq-listen: the triggers on the source tables, the view gaq_summaries, schema gaq with all stored
-- summaries and marks, and every right that was given to our roles in this database. Source tables keep their data. A table
-- gaq_summaries that was taken over has its name again, and holds what it held then: what has changed since is not in it.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

-- DROP TRIGGER waits for the transactions that use the table, and lets nobody else in while it waits: hence the timeout.
do $$
declare
    marking record;
begin
    for marking in
        select tgrelid::regclass as source_table, tgname
        from pg_trigger
        join pg_proc on pg_proc.oid = tgfoid
        where pronamespace = to_regnamespace('gaq') and tgparentid = 0
        order by 1, 2
    loop
        execute format('drop trigger %I on %s', marking.tgname, marking.source_table);
    end loop;
end
$$;

do $$
declare
    original regclass;
begin
    if to_regclass('gaq.original_summaries') is not null then
        select refobjid into original
        from pg_depend
        join pg_rewrite on pg_rewrite.oid = objid
        where classid = 'pg_rewrite'::regclass and ev_class = to_regclass('gaq.original_summaries')
          and refclassid = 'pg_class'::regclass and refobjid <> ev_class
        limit 1;
    end if;
    drop schema if exists gaq cascade;
    if original is not null then
        execute format('alter table %s rename to gaq_summaries', original);
    end if;
end
$$;

-- [transaction] the roles' rights, and the roles themselves where nobody else has them
do $$
declare
    ours text;
    all_of_ours text[] := array['gaq_worker', 'gaq_reader', 'gaq_owner'];
begin
    foreach ours in array all_of_ours loop
        continue when not exists (select from pg_roles where rolname = ours);
        execute format('drop owned by %I', ours);
        -- A role that somebody was given is theirs to keep; one that another database uses cannot be dropped.
        continue when exists (
            select from pg_auth_members m
            where m.roleid = ours::regrole and m.member <> current_user::regrole
              and m.member not in (select oid from pg_roles where rolname = any (all_of_ours)));
        begin
            execute format('drop role %I', ours);
        exception when dependent_objects_still_exist then
            null;
        end;
    end loop;
end
$$;

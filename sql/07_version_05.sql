-- From version 4 to version 5: functions and their arguments have other names, and some indexes are replaced.

set role gaq_owner;

do $$
declare
    given record;
begin
    if gaq.installed_version() < 5 then
        -- (Some installations of version 4 had them.)
        drop index if exists gaq.wide_invalidations_of_flags, gaq.summaries_as_taken_over;
        -- Views, triggers and functions that call a renamed function follow, so no reader and no writer notices.
        for given in
            select oid::regprocedure as function, renamed.new_name
            from (values ('request', 'request_refresh'), ('refuse', 'raise_error'), ('is_there', 'backend_exists'),
                         ('showable', 'representable'), ('objects', 'list_objects')) renamed (old_name, new_name)
            join pg_proc on proname = renamed.old_name and pronamespace = 'gaq'::regnamespace
        loop
            execute format('alter function %s rename to %I', given.function, given.new_name);
        end loop;
        -- Only workers call these, and a worker of another version ends with a sentence. Later files create them anew.
        for given in
            select oid::regprocedure as function
            from pg_proc
            where pronamespace = 'gaq'::regnamespace
              and proname in ('enroll', 'enroll_doorbell', 'report', 'leave', 'fail', 'note_failures', 'next_due', 'due_at', 'refresh')
            order by proname = 'due_at'                 -- the last, since next_due is made of it
        loop
            execute format('drop function %s', given.function);
        end loop;
        drop table if exists gaq.seeding;               -- it had one row, which gaq.refresh locked; gaq.insert_lock has it now
    end if;
end
$$;

reset role;

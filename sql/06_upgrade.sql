-- What other installations left, a restored dump or an earlier version, becomes what the following files expect.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

-- Everything of ours belongs to gaq_owner. It does not in version 1, where it belonged to whoever had installed it, nor after
-- a restore with --no-owner, or on a server that had no such role.
do $$
declare
    thing record;
begin
    if to_regclass('gaq.summaries') is null then       -- nothing is installed, or the schema is somebody else's
        return;
    end if;
    if exists (select from pg_namespace where nspname = 'gaq' and nspowner <> 'gaq_owner'::regrole) then
        alter schema gaq owner to gaq_owner;
    end if;
    for thing in
        select case relkind when 'v' then 'view' when 'c' then 'type' else 'table' end as kind, oid::regclass as name
        from pg_class
        where relnamespace = 'gaq'::regnamespace and relkind in ('r', 'v', 'c') and relowner <> 'gaq_owner'::regrole
    loop
        execute format('alter %s %s owner to gaq_owner', thing.kind, thing.name);
    end loop;
    for thing in
        select oid::regprocedure as name
        from pg_proc where pronamespace = 'gaq'::regnamespace and proowner <> 'gaq_owner'::regrole
    loop
        execute format('alter routine %s owner to gaq_owner', thing.name);
    end loop;
end
$$;

set role gaq_owner;

-- From version 1: less was stored and told. Nothing is lost elsewhere: where an installation stopped half-way, what this drops
-- is created again.
do $$
begin
    if to_regnamespace('gaq') is null or to_regclass('gaq.installation') is not null then
        return;
    end if;
    alter table gaq.summaries add column if not exists seconds_stale double precision, add column if not exists refreshed_for text,
        add column if not exists refreshed_by text;
    alter table gaq.wide_invalidations
        add column if not exists place bigint,
        alter column id drop identity if exists,
        alter column id set default hashtextextended(gen_random_uuid()::text, 0),
        drop constraint if exists wide_invalidations_kind_check,
        add check (kind in ('run', 'flag type', 'flag', 'everything', 'flag in run', 'flag in data pass'));
    drop function if exists gaq.refresh(int, interval, interval, bool);
    drop view if exists gaq.status;
end
$$;

-- From version 3: a view cannot change the type of a column. So views of names and instants whose columns have another type
-- than ours are dropped, with the functions and views that give these on; 20_sources.sql and the files after it create them
-- again, with their grants. No mark is read through them.
do $$
declare
    other regclass;
begin
    for other in
        select distinct attrelid::regclass
        from pg_attribute
        where attrelid in (to_regclass('gaq.source_data_passes'), to_regclass('gaq.source_detectors'),
                           to_regclass('gaq.source_flag_details'), to_regclass('gaq.source_flag_types'),
                           to_regclass('gaq.source_runs'))
          and (attname in ('name', 'created_by', 'comment') and atttypid <> 'text'::regtype
               or attname in ('qc_time_start', 'qc_time_end') and atttypid <> 'timestamptz'::regtype)
    loop
        execute format('drop view %s cascade', other);
    end loop;
end
$$;

-- What was installed for other tables, or was blind, has missed changes: everything is stale until this installation ends. (The
-- mark alone would not do: a batch that is in flight may fold it, so 80_installed.sql marks once more.)
do $$
declare
    blind bool;
begin
    if to_regprocedure('gaq.source_changes()') is not null and to_regclass('gaq.installation') is not null then
        execute 'select exists (select from gaq.source_changes())' into blind;
        if blind then
            insert into gaq.detached default values on conflict do nothing;
            insert into gaq.paused (paused_by, reason)
            values (session_user, 'detached; gaq-listen install attaches again') on conflict do nothing;
            insert into gaq.wide_invalidations (kind, cause) values ('everything', 'installation');
        end if;
    end if;
end
$$;

-- From version 3: a worker was known by its host and process, and not by its backends.
do $$
begin
    if to_regclass('gaq.workers') is not null then
        alter table gaq.workers add column if not exists doorbell_pid int;
        drop function if exists gaq.enroll(text, text, int);
    end if;
end
$$;

reset role;

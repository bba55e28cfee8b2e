-- From version 1: everything belonged to whoever had installed it, and less was stored and told. Nothing is lost
-- elsewhere: where an installation stopped half-way, what this drops is created again. From version 2, the other files are
-- enough. Version 3 gave names and instants with the types that the tables have: see the end.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

do $$
declare
    thing record;
begin
    if to_regnamespace('gaq') is null or to_regclass('gaq.installation') is not null then
        return;
    end if;
    alter schema gaq owner to gaq_owner;
    for thing in
        select case relkind when 'v' then 'view' else 'table' end as kind, oid::regclass as name
        from pg_class where relnamespace = 'gaq'::regnamespace and relkind in ('r', 'v')
    loop
        execute format('alter %s %s owner to gaq_owner', thing.kind, thing.name);
    end loop;
    for thing in
        select oid::regprocedure as name from pg_proc where pronamespace = 'gaq'::regnamespace
    loop
        execute format('alter routine %s owner to gaq_owner', thing.name);
    end loop;
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

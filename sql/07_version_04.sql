-- From version 3 to version 4: views of names and instants have our types, and a worker records its backends.

set role gaq_owner;

do $$
declare
    retyped regclass;
begin
    if gaq.installed_version() < 4 then
        -- A view cannot change the type of a column. So views whose columns had the types of the source tables are dropped,
        -- with the functions and views that read them; 20_sources.sql and the files after it create them again, with their
        -- grants. No mark is read through them.
        for retyped in
            select distinct attrelid::regclass
            from pg_attribute
            where attrelid in (to_regclass('gaq.source_data_passes'), to_regclass('gaq.source_detectors'),
                               to_regclass('gaq.source_flag_details'), to_regclass('gaq.source_flag_types'),
                               to_regclass('gaq.source_runs'))
              and (attname in ('name', 'created_by', 'comment') and atttypid <> 'text'::regtype
                   or attname in ('qc_time_start', 'qc_time_end') and atttypid <> 'timestamptz'::regtype)
        loop
            execute format('drop view %s cascade', retyped);
        end loop;
        -- (Version 1 had no workers that said who they are.)
        alter table if exists gaq.workers add column if not exists doorbell_pid int;
        drop function if exists gaq.enroll(text, text, int);
    end if;
end
$$;

reset role;

-- The end of an installation: it marks the pairs that existed before, and records the objects that exist now.

set role gaq_owner;

-- Mark the pairs that existed before the triggers and were never computed.
insert into gaq.invalidations (data_pass_id, run_number, cause)
select p.data_pass_id, p.run_number, 'installation'
from gaq.source_pairs p
where not exists (select from gaq.summaries s
                  where s.data_pass_id = p.data_pass_id and s.run_number = p.run_number and s.updated_at is not null)
  and not exists (select from gaq.invalidations i
                  where i.data_pass_id = p.data_pass_id and i.run_number = p.run_number);

-- Mark everything if gaq-listen was detached, because no trigger saw the changes since then.
do $$
begin
    if exists (select from gaq.detached) then
        insert into gaq.wide_invalidations (kind, cause) values ('everything', 'installation');
        delete from gaq.paused where reason = 'detached; gaq-listen install attaches again';
        delete from gaq.detached;
    end if;
end
$$;

-- Make failing pairs due at once, because this installation may have removed the reason of their failure.
update gaq.failures set next_try_at = clock_timestamp() where next_try_at > clock_timestamp();

do $$ begin perform gaq.ring_if_asleep(); end $$;

-- (If only names have changed, nothing was bound anew, and the record keeps the names that the sources file has.)
do $$ begin
    if current_setting('gaq.keep_bindings', true) is distinct from 'on' then
        delete from gaq.bindings;
        insert into gaq.bindings
        select schema_name, table_name, column_name, table_number, table_number, column_number, type, expression from gaq.bound_columns;
    end if;
end $$;

delete from gaq.granted;
insert into gaq.granted
select distinct gaq.grants_on(tgrelid) from pg_trigger where tgfoid = 'gaq.request_refresh()'::regprocedure;

-- The record says what should be, which is not always what is there. An installation creates functions, views and triggers
-- anew, but it does not alter a table: one that somebody has altered keeps the checksum that it had, and doctor goes on naming
-- it. So with a trigger that somebody else has added.
do $$
declare
    this_version constant int := 5;     -- as VERSION in gaq_listen/dba/scripts.py
begin
    insert into gaq.installed_objects as recorded (kind, name, checksum)
    select kind, name, checksum from gaq.list_objects()
    where kind <> 'trigger' or name ~ '^gaq_(insert|update|delete|truncate|request) on '
    order by kind, name
    on conflict (kind, name) do update
    set checksum = excluded.checksum
    where recorded.checksum <> excluded.checksum
      and (recorded.kind <> 'table' or gaq.installed_version() <> this_version);
    delete from gaq.installed_objects r
    where not exists (select from gaq.list_objects() o
                      where o.kind = r.kind and o.name = r.name
                        and (o.kind <> 'trigger' or o.name ~ '^gaq_(insert|update|delete|truncate|request) on '));

    insert into gaq.installation (version, server_version, sources, installed_by, installed_at)
    values (this_version, current_setting('server_version_num')::int, gaq.sources(), session_user, now())
    on conflict (only_row) do update
    set version = excluded.version, server_version = excluded.server_version, sources = excluded.sources,
        installed_by = excluded.installed_by, installed_at = excluded.installed_at;
end
$$;

reset role;

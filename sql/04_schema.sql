-- Before anything changes: the schema of the source tables is there, and it is the one that is installed already. Whoever
-- installed with the tables of another schema would show their values as fresh.
--   PGOPTIONS='-c gaq.source_schema=bookkeeping' psql -1 -f 04_schema.sql

do $$
declare
    wanted text := coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public');
    used text[];
begin
    if not exists (select from pg_catalog.pg_namespace where nspname = wanted) then
        raise exception 'there is no schema %', quote_ident(wanted)
            using errcode = 'invalid_schema_name',
                  hint = 'name the schema of the source tables: --source-schema, or the setting gaq.source_schema';
    end if;
    -- It is remembered by the triggers on the source tables, so it may be renamed. (A table below another,
    -- such as a partition, may have triggers that somebody else made, and be anywhere.)
    select array_agg(distinct nspname) into used
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc f on f.oid = tgfoid
    join pg_catalog.pg_class c on c.oid = tgrelid
    join pg_catalog.pg_namespace s on s.oid = c.relnamespace
    where f.pronamespace = to_regnamespace('gaq') and tgparentid = 0 and c.relkind in ('r', 'p')
      and not exists (select from pg_catalog.pg_inherits where inhrelid = c.oid);
    if wanted <> all (used) then
        raise exception 'what is installed has its source tables in schema %, not in %',
                        array_to_string(used, ', '), quote_ident(wanted)
            using hint = 'name that one: --source-schema, or the setting gaq.source_schema; '
                         'gaq-listen uninstall comes before another';
    end if;
end
$$;

-- Checks, before anything changes, that the schema of the source tables exists and that an earlier installation used the
-- same schema. If an operator installed with the tables of another schema, gaq-listen would show the values of the old
-- tables as fresh.
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
    -- The triggers on the source tables show which schema is used, so an operator may rename the schema. (A table below
    -- another table, such as a partition, does not count, because its triggers may be of other origin and it may be in
    -- any schema.)
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

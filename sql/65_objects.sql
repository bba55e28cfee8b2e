-- The record of what was installed, and the list of what exists now. The doctor compares them.

set role gaq_owner;

create table if not exists gaq.installation (
    only_row       bool primary key default true check (only_row),
    version        int not null,
    server_version int not null,            -- server_version_num: definitions read differently on another major version
    sources        text not null,           -- which sources file: 'reference', 'bookkeeping' or another
    installed_by   text not null,
    installed_at   timestamptz not null
);

create table if not exists gaq.installed_objects (
    kind     text not null,
    name     text not null,
    checksum text not null,
    primary key (kind, name)
);

-- The tables and columns to which source views and accessors are bound (see 67_bindings.sql).
create table if not exists gaq.bindings (
    schema_name   text not null,
    table_name    text not null,
    column_name   text not null,
    bound_table   regclass not null,        -- a dump writes this as a name, and restores the number of another database
    table_number  oid not null,             -- the same, but restored as it is: so a restored record is told from one of this database
    column_number int not null,             -- pg_attribute.attnum
    type          text not null,
    expression    text not null,            -- of a generated column: a checksum that a rename leaves alone; else empty
    primary key (schema_name, table_name, column_name)
);

-- Returns the name that a source table had at the end of the installation.
create or replace function gaq.recorded_name(source_table oid) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    select coalesce((select format('%I.%I', schema_name, table_name) from gaq.bindings where bound_table = source_table limit 1),
                    source_table::regclass::text);
end;

-- Lists all objects of gaq-listen as they are now: each function, view, table, index and trigger, with who owns it and a checksum of its
-- definition.
-- A table that is renamed is told by its recorded name, so that its triggers stay the same.
-- Every column has a name: a dump writes down one that PostgreSQL has made up, and then the text is another.
create or replace function gaq.list_objects() returns table (kind text, name text, owner text, checksum text)
language sql stable
set search_path = pg_catalog, pg_temp       -- so that definitions name everything with its schema
set timezone = 'UTC'                        -- and instants read the same for everybody
set datestyle = 'ISO'
set quote_all_identifiers = off
set intervalstyle = 'postgres'
begin atomic
    select 'function' as kind,
           format('gaq.%I(%s)', proname,
                  coalesce((select gaq.recorded_name(typrelid) from pg_type where pg_type.oid = proargtypes[0] and typrelid <> 0),
                           pg_get_function_identity_arguments(oid))) as name,
           pg_get_userbyid(proowner) as owner,
           md5(case when prokind = 'a'
                    then (select concat_ws(' ', aggtransfn, aggtranstype::regtype, agginitval) from pg_aggregate
                          where aggfnoid = pg_proc.oid)
                    else pg_get_functiondef(oid) end) as checksum
    from pg_proc
    where pronamespace = 'gaq'::regnamespace
    union all
    select 'view' as kind, oid::regclass::text as name, pg_get_userbyid(relowner) as owner, md5(pg_get_viewdef(oid)) as checksum
    from pg_class
    where relkind = 'v' and (relnamespace = 'gaq'::regnamespace
                             or oid in (select tgrelid from pg_trigger where tgfoid = 'gaq.request_refresh()'::regprocedure))
    union all
    select 'table' as kind, c.oid::regclass::text as name, pg_get_userbyid(relowner) as owner,
           md5(concat_ws(' ', relpersistence, relreplident, reloptions, string_agg(
               concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid)),
               ', ' order by attnum))) as checksum
    from pg_class c
    join pg_attribute a on attrelid = c.oid and attnum > 0 and not attisdropped
    left join pg_attrdef on adrelid = c.oid and adnum = attnum
    where relkind = 'r' and relnamespace = 'gaq'::regnamespace
    group by c.oid, relowner, relpersistence, relreplident, reloptions
    union all
    select 'index' as kind, indexrelid::regclass::text as name, pg_get_userbyid(relowner) as owner,
           md5(concat_ws(' ', indisvalid, pg_get_indexdef(indexrelid))) as checksum
    from pg_index
    join pg_class on pg_class.oid = indexrelid
    where relnamespace = 'gaq'::regnamespace
    union all
    select 'trigger' as kind, format('%I on %s', tgname, gaq.recorded_name(tgrelid)) as name, pg_get_userbyid(relowner) as owner,
           md5(concat_ws(' ', tgenabled, replace(pg_get_triggerdef(t.oid), format(' ON %s ', tgrelid::regclass),
                                                 format(' ON %s ', gaq.recorded_name(tgrelid))))) as checksum
    from pg_trigger t
    join pg_proc on pg_proc.oid = tgfoid
    join pg_class on pg_class.oid = tgrelid
    where pronamespace = 'gaq'::regnamespace and tgparentid = 0;
end;

reset role;

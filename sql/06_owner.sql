-- Creates schema gaq, and makes gaq_owner the owner of everything in it.

-- Only the roles that 70_grants.sql names may execute a function. PUBLIC may not, from the moment when the function is
-- created. (Default privileges of one schema cannot revoke anything, so the default privileges below hold for everything
-- that gaq_owner creates in this database.)
create schema if not exists gaq authorization gaq_owner;

-- Other roles own the objects of version 1, of a restore with --no-owner, and of a server that had no role gaq_owner.
do $$
declare
    thing record;
begin
    if to_regclass('gaq.summaries') is null then       -- gaq-listen is not installed, or another application owns the schema
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
comment on schema gaq is 'gaq-listen: keeps Global Aggregated Quality summaries fresh';
alter default privileges revoke execute on routines from public;

-- Returns the version that an earlier installation left, or null if there was none. The files 07_version_... call this
-- function to find what they have to change. Version 1 did not record its number. A first installation that stopped
-- before its end did not record one either, so a change from version 1 must do no harm to newer objects.
create or replace function gaq.installed_version() returns int
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    recorded int;
begin
    if to_regclass('gaq.summaries') is null then
        return null;
    end if;
    if to_regclass('gaq.installation') is not null then
        execute 'select version from gaq.installation' into recorded;
    end if;
    return coalesce(recorded, 1);
end
$$;
reset role;

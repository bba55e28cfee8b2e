-- Schema gaq, and that everything in it belongs to gaq_owner.

-- A function is for those to whom 70_grants.sql gives it, and never for PUBLIC, from the moment when it is created.
-- (Default privileges of one schema cannot take anything away, so these are of all that gaq_owner creates in this database.)
create schema if not exists gaq authorization gaq_owner;

-- Objects belong to other roles in version 1, after a restore with --no-owner, and on a server that had no role gaq_owner.
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
comment on schema gaq is 'gaq-listen: keeps Global Aggregated Quality summaries fresh';
alter default privileges revoke execute on routines from public;

-- Returns the version that an earlier installation left, and null if there was none. The files 07_version_... ask this
-- function what they have to change. Version 1 did not record its number. Neither does a first installation that stopped
-- before its end, so a change from version 1 must do no harm to what is newer.
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

-- Marks everything as stale until this installation ends, if the previous installation was bound to other tables or was
-- blind, because that installation has missed changes. (The mark alone is not enough, because a running batch may fold
-- it. So 80_installed.sql marks everything once more.)

set role gaq_owner;

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

reset role;

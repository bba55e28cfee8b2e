-- Who owns, who works, who reads. Roles belong to the server, so several databases may share these.
-- Not needed by a superuser: whoever installs must be able to create roles, or find them made and be a member of gaq_owner.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['gaq_owner', 'gaq_worker', 'gaq_reader'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception when duplicate_object or unique_violation then
                null;   -- another installation on this server was faster
            end;
        end if;
    end loop;
    -- gaq_owner owns schema gaq and everything in it; gaq_worker is for the worker's login role; gaq_reader for people
    -- and monitors. Whoever works may also read.
    if not pg_has_role('gaq_worker', 'gaq_reader', 'member') then
        grant gaq_reader to gaq_worker;
    end if;
    -- What follows is created as gaq_owner. (Since PostgreSQL 16, who creates a role may administer it, but not be it.)
    if not pg_has_role(current_user, 'gaq_owner',
                       case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) then
        execute format('grant gaq_owner to %I', current_user);
    end if;
end
$$;

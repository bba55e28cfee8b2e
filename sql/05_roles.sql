-- Creates the roles of the owner, of workers and of readers. Roles belong to the server, so several databases may share
-- them. The installing role need not be a superuser. It must be able to create roles, or the roles must exist and it must
-- be a member of gaq_owner.

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
    -- gaq_owner owns schema gaq and everything in it. The login role of a worker is a member of gaq_worker. People and
    -- monitors are members of gaq_reader. A worker may also read.
    if not pg_has_role('gaq_worker', 'gaq_reader', 'member') then
        grant gaq_reader to gaq_worker;
    end if;
    -- The next files create their objects as gaq_owner. (Since PostgreSQL 16, a role that creates another role may
    -- administer that role, but may not SET ROLE to it.)
    if not pg_has_role(current_user, 'gaq_owner',
                       case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) then
        execute format('grant gaq_owner to %I', current_user);
    end if;
end
$$;

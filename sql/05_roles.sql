-- Creates the roles of the owner, of workers and of readers. Roles belong to the server, so several databases may share
-- them. The installing role need not be a superuser. It must be able to create roles, or the roles must exist and it must
-- be a member of gaq_owner that may SET ROLE gaq_owner and inherits the rights of gaq_owner.

do $$
declare
    wanted text;
    has_options constant bool := current_setting('server_version_num')::int >= 160000;
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
    if not pg_has_role('gaq_worker', 'gaq_reader', 'usage') then
        execute 'grant gaq_reader to gaq_worker' || case when has_options then ' with inherit true' else '' end;
        if not pg_has_role('gaq_worker', 'gaq_reader', 'usage') then
            alter role gaq_worker inherit;
        end if;
    end if;
    -- The next files create their objects as gaq_owner, and the installing role creates the triggers with rights that it
    -- inherits from gaq_owner. (Since PostgreSQL 16, each membership says whether the member inherits and may SET ROLE,
    -- and a role that creates another role can do neither.)
    if not pg_has_role(current_user, 'gaq_owner', case when has_options then 'set' else 'member' end)
       or not pg_has_role(current_user, 'gaq_owner', 'usage')
          and (has_options or (select rolinherit from pg_roles where rolname = current_user)) then
        execute format('grant gaq_owner to %I', current_user)
                || case when has_options then ' with inherit true, set true' else '' end;
    end if;
    if not pg_has_role(current_user, 'gaq_owner', 'usage') then
        raise exception '% does not inherit the rights of gaq_owner', quote_ident(current_user)
            using errcode = 'insufficient_privilege', hint = format('run: ALTER ROLE %I INHERIT', current_user);
    end if;
end
$$;

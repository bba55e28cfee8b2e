-- From version 4 to version 5: indexes that others have replaced.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

do $$
begin
    if gaq.installed_version() < 5 then
        -- (Some installations of version 4 had them.)
        drop index if exists gaq.wide_invalidations_of_flags, gaq.summaries_as_taken_over;
    end if;
end
$$;

reset role;

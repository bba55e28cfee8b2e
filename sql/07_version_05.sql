-- From version 4 to version 5: indexes that others have replaced.

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

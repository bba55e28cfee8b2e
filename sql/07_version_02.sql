-- From version 1 to version 2: each summary keeps why and by whom it was refreshed, and a mark can name a flag in a run or a data pass.

set role gaq_owner;

do $$
begin
    if gaq.installed_version() < 2 then
        alter table gaq.summaries
            add column if not exists seconds_stale double precision,
            add column if not exists refreshed_for text,
            add column if not exists refreshed_by text;
        alter table gaq.wide_invalidations
            add column if not exists place bigint,
            alter column id drop identity if exists,
            alter column id set default hashtextextended(gen_random_uuid()::text, 0),
            drop constraint if exists wide_invalidations_kind_check,
            add check (kind in ('run', 'flag type', 'flag', 'everything', 'flag in run', 'flag in data pass'));
        drop function if exists gaq.refresh(int, interval, interval, bool);
    end if;
end
$$;

reset role;

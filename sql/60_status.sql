-- The functions and views that monitors and operators read.

set role gaq_owner;

-- Returns the number of stale pairs and the time of the oldest mark, which is null if every pair is fresh. If there are more
-- than 1000 wide marks, the function counts each as one pair, because an exact count would take longer than the refresh.
create or replace function gaq.backlog(out stale_pairs bigint, out stale_since timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    wide bigint := (select count(*) from (select from gaq.wide_invalidations limit 1001) w);
begin
    if wide <= 1000 then
        -- (Not from gaq.pending, which finds the oldest mark of each pair: of a million marks, here the oldest of all is enough.)
        select count(*), least((select min(invalidated_at) from gaq.invalidations),
                               (select min(invalidated_at) from gaq.expanded_invalidations))
        into stale_pairs, stale_since
        from (select data_pass_id, run_number from gaq.invalidations
              union
              select data_pass_id, run_number from gaq.expanded_invalidations) marked;
    else
        select least((select count(*) from gaq.source_pairs),
                     (select count(*) from (select distinct data_pass_id, run_number from gaq.invalidations) m) + count(*)),
               least((select min(invalidated_at) from gaq.invalidations), min(invalidated_at))
        into stale_pairs, stale_since
        from gaq.wide_invalidations;
    end if;
end
$$;

create or replace view gaq.status as
select pending.stale_pairs,
       pending.stale_since,                 -- the oldest mark; null: everything is fresh
       stored.summaries,
       stored.not_computable,
       stored.last_refresh,
       exists (select from gaq.bell_holders where exclusively) as somebody_listens,
       triggers.enabled as triggers_enabled,
       triggers.disabled as triggers_disabled
from gaq.backlog() pending
cross join (
    select count(updated_at) as summaries, count(*) filter (where not_computable) as not_computable,
           max(updated_at) as last_refresh
    from gaq.summaries
) stored
cross join (
    select count(*) filter (where tgenabled = 'A') as enabled, count(*) filter (where tgenabled <> 'A') as disabled
    from pg_catalog.pg_trigger
    join pg_catalog.pg_proc on pg_proc.oid = tgfoid
    join pg_catalog.pg_class on pg_class.oid = tgrelid
    where pronamespace = 'gaq'::regnamespace and relkind in ('r', 'p') and tgparentid = 0
) triggers;


-- Returns how many seconds the pairs that workers refreshed lately had been stale, as percentiles. A pair counts once, by its
-- last refresh. The percentiles are null if there was no refresh.
create or replace function gaq.freshness(
    objective interval default '1 s', lately interval default '5 min',
    out refreshed bigint, out p50_seconds double precision, out p99_seconds double precision,
    out within_objective double precision           -- the share of them, 0 to 1
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select count(*),
           percentile_disc(0.5) within group (order by seconds_stale),
           percentile_disc(0.99) within group (order by seconds_stale),
           avg((seconds_stale <= date_part('epoch', objective))::int)
    from gaq.summaries
    where updated_at > clock_timestamp() - lately and seconds_stale is not null;
end;

grant execute on function gaq.freshness(interval, interval), gaq.backlog() to gaq_reader;
reset role;

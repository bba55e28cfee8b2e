-- What is stored, the marks that say what is stale, and the doorbell.
-- Nothing in this file knows the source tables. It can be applied again at any time.

set role gaq_owner;


-- The summaries as last computed. Writers never touch these rows: a worker claims a pair by locking its row.
create table if not exists gaq.summaries (
    data_pass_id                    bigint not null,
    run_number                      bigint not null,
    bad_run_coverage                double precision,
    explicitly_not_bad_run_coverage double precision,
    mc_reproducible_coverage        double precision,
    missing_verifications_count     int,
    undefined_quality_periods_count int,
    not_computable                  bool,               -- null until first computed
    created_at                      timestamptz not null default clock_timestamp(),
    updated_at                      timestamptz,        -- when last computed
    seconds_stale                   double precision,   -- how long it had been stale then
    refreshed_for                   text,               -- what had made it stale
    refreshed_by                    text,               -- the worker, or the role of whoever did it by hand
    primary key (data_pass_id, run_number)
) with (fillfactor = 70);                               -- room for HOT updates: no indexed column ever changes


-- Marks. Writers only append, so no writer ever waits for another or for a worker; workers delete what they have folded.
-- A mark is in the same transaction as the change it tells of.
create table if not exists gaq.invalidations (
    data_pass_id   bigint not null,
    run_number     bigint not null,
    invalidated_at timestamptz not null default clock_timestamp(),
    cause          text not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
-- By age for whoever looks for work: with the pair in it, so that no plan ever prefers to sort the other index.
create index if not exists invalidations_by_age on gaq.invalidations (invalidated_at, data_pass_id, run_number);
create index if not exists invalidations_by_pair on gaq.invalidations (data_pass_id, run_number, invalidated_at);

-- Marks that name the thing that changed, not its pairs. Whoever reads them looks the pairs up, later: a trigger that
-- looked them up would miss those that a concurrent transaction has not committed yet.
create table if not exists gaq.wide_invalidations (
    -- 64 random bits, so that no two are ever the same. Not a sequence: a writer that asks for lastval() after its own
    -- INSERT would get ours.
    id             bigint primary key default hashtextextended(gen_random_uuid()::text, 0),
    kind           text not null check (kind in ('run', 'flag type', 'flag', 'everything',
                                                 'flag in run', 'flag in data pass')),
    key            bigint,                              -- the run, type or flag; null for everything
    invalidated_at timestamptz not null default clock_timestamp(),
    cause          text not null,
    place          bigint                               -- of a flag in something: the run, or the data pass
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index if not exists wide_invalidations_by_age on gaq.wide_invalidations (invalidated_at);
-- By what they name for whoever reads a pair: the oldest mark of a thing is the first.
create index if not exists wide_invalidations_by_key on gaq.wide_invalidations (kind, key, invalidated_at);
-- And by place and what they name there.
create index if not exists wide_invalidations_by_place on gaq.wide_invalidations (kind, place, key, invalidated_at)
    where place is not null;

-- Rows without a key must stay deletable under CREATE PUBLICATION ... FOR ALL TABLES.
alter table gaq.invalidations replica identity full;

-- Only who has locked this row adds rows to gaq.summaries, so two workers never wait for each other's insert.
create table if not exists gaq.insert_lock (only_row bool primary key default true check (only_row));
insert into gaq.insert_lock default values on conflict do nothing;


-- Pairs whose computation fails. They keep their value and their mark, and are tried again.
create table if not exists gaq.failures (
    data_pass_id    bigint not null,
    run_number      bigint not null,
    error           text not null,
    sqlstate        text not null,
    attempts        int not null,                       -- how often in a row
    first_failed_at timestamptz not null,
    last_failed_at  timestamptz not null,
    next_try_at     timestamptz not null,
    primary key (data_pass_id, run_number)
);

-- One row while all work is paused.
create table if not exists gaq.paused (
    only_row  bool primary key default true check (only_row),
    paused_at timestamptz not null default clock_timestamp(),
    paused_by text not null,
    reason    text
);

-- One row while nothing is bound to the source tables: from gaq-listen detach, or from the beginning of an installation that binds
-- to other tables than before, to the end of the next installation. No batch begins meanwhile, and every summary is stale.
create table if not exists gaq.detached (
    only_row bool primary key default true check (only_row),
    since    timestamptz not null default clock_timestamp()
);

-- The grants of gaq_summaries at the end of the last installation, as statements. If somebody drops the view (DROP ... CASCADE of a
-- source table does), the next installation gives them again.
create table if not exists gaq.granted (statement text primary key);

-- What each worker last said of itself. It is there while its backend_pid is.
create table if not exists gaq.workers (
    name            text primary key,
    host            text not null,
    pid             int not null,
    backend_pid     int not null,
    state           text not null,
    started_at      timestamptz not null default clock_timestamp(),
    seen_at         timestamptz not null default clock_timestamp(),
    batches         bigint not null default 0,
    pairs           bigint not null default 0,
    swept_at        timestamptz,
    swept_found     int,                                -- pairs that the last sweep found and no wake-up had announced
    found_by_sweeps bigint not null default 0,          -- and all sweeps
    doorbell_pid    int                                 -- the backend that sleeps at the doorbell; null: the worker polls
);


-- The doorbell. NOTIFY takes a lock that is common to all databases of the server and keeps it until its commit is on
-- the disk. So a writer notifies only when a worker sleeps, and a worker that finds that writers queue for that lock
-- stays awake and polls. A sleeping worker holds the advisory lock exclusively. A transaction that has marked something
-- tries to get the lock shared, which never waits:
--     if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then perform gaq.ring(); end if;
-- If it gets it, all workers are awake, and it keeps them so until its commit is visible: they will see its marks.
create or replace function gaq.bell_key() returns bigint
language sql immutable parallel safe
return 7449359913134156908;     -- the bytes of 'gaq_bell'

-- Who holds that lock: a sleeping worker exclusively, and then nobody else; or any number of transactions that have marked.
create or replace view gaq.bell_holders as
select pid, mode = 'ExclusiveLock' as exclusively
from pg_catalog.pg_locks
where locktype = 'advisory' and granted and objsubid = 1
  and database = (select oid from pg_catalog.pg_database where datname = current_database())
  and (classid::bigint << 32 | objid::bigint) = gaq.bell_key();

-- Held, shared, by every transaction that refreshes.
create or replace function gaq.batch_key() returns bigint
language sql immutable parallel safe
return 7449359913487135339;     -- the bytes of 'gaq_work'

-- A session that must PREPARE TRANSACTION cannot notify: it sets gaq.bell = off, and the sweep finds its marks. So it does
-- when the notification queue fills up: that would end in errors for writers.
create or replace function gaq.ring() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if current_setting('gaq.bell', true) is distinct from 'off' and pg_notification_queue_usage() < 0.5 then
        perform pg_notify('gaq_invalidated', '');
    end if;
end
$$;

reset role;

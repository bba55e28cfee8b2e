-- Creates the tables of summaries and of marks, and the doorbell. No statement in this file names a source table. The
-- file can be applied again at any time.

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
    seconds_stale                   double precision,   -- how long the pair had been stale then
    refreshed_for                   text,               -- the causes of the marks that were folded
    refreshed_by                    text,               -- the worker, or the role that refreshed by hand
    primary key (data_pass_id, run_number)
) with (fillfactor = 70);                               -- room for HOT updates: no indexed column ever changes


-- Marks. Writers only append marks, so a writer never waits for another writer or for a worker. Workers delete the marks
-- that they have folded. A trigger writes a mark in the transaction of the change.
create table if not exists gaq.invalidations (
    data_pass_id   bigint not null,
    run_number     bigint not null,
    invalidated_at timestamptz not null default clock_timestamp(),
    cause          text not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
-- Finds work by age. The index contains the pair, so that no plan prefers to sort the rows of the other index.
create index if not exists invalidations_by_age on gaq.invalidations (invalidated_at, data_pass_id, run_number);
create index if not exists invalidations_by_pair on gaq.invalidations (data_pass_id, run_number, invalidated_at);

-- Wide marks name the thing that changed, and not its pairs. The reader of a wide mark finds the pairs later, because a
-- trigger would miss the pairs that a concurrent transaction has not committed yet.
create table if not exists gaq.wide_invalidations (
    -- 64 random bits, so that ids do not collide. The id is not a sequence, because a writer that calls lastval() after
    -- its own INSERT would get the value of our sequence.
    id             bigint primary key default hashtextextended(gen_random_uuid()::text, 0),
    kind           text not null check (kind in ('run', 'flag type', 'flag', 'everything',
                                                 'flag in run', 'flag in data pass')),
    key            bigint,                              -- the run, type or flag; null for everything
    invalidated_at timestamptz not null default clock_timestamp(),
    cause          text not null,
    place          bigint                               -- the run of a flag in run, or the data pass of a flag in data pass
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index if not exists wide_invalidations_by_age on gaq.wide_invalidations (invalidated_at);
-- Finds the marks of a thing for a reader of a pair. The first one is the oldest.
create index if not exists wide_invalidations_by_key on gaq.wide_invalidations (kind, key, invalidated_at);
-- Finds marks by their place and by what they name there.
create index if not exists wide_invalidations_by_place on gaq.wide_invalidations (kind, place, key, invalidated_at)
    where place is not null;

-- A table without a key needs this, so that workers can delete its rows under CREATE PUBLICATION ... FOR ALL TABLES.
alter table gaq.invalidations replica identity full;

-- Only a session that has locked this row inserts into gaq.summaries, so a worker never waits for the insert of another
-- worker.
create table if not exists gaq.insert_lock (only_row bool primary key default true check (only_row));
insert into gaq.insert_lock default values on conflict do nothing;


-- Failing pairs. A failing pair keeps its value and its mark, and workers try again.
create table if not exists gaq.failures (
    data_pass_id    bigint not null,
    run_number      bigint not null,
    error           text not null,
    sqlstate        text not null,
    attempts        int not null,                       -- consecutive failures
    first_failed_at timestamptz not null,
    last_failed_at  timestamptz not null,
    next_try_at     timestamptz not null,
    primary key (data_pass_id, run_number)
);

-- Contains one row while all workers of the database are paused.
create table if not exists gaq.paused (
    only_row  bool primary key default true check (only_row),
    paused_at timestamptz not null default clock_timestamp(),
    paused_by text not null,
    reason    text
);

-- Contains one row while gaq-listen is not bound to the source tables. The row exists from gaq-listen detach, or from the
-- beginning of an installation that binds to other tables than before, to the end of the next installation. No batch
-- begins meanwhile, and every summary is stale.
create table if not exists gaq.detached (
    only_row bool primary key default true check (only_row),
    since    timestamptz not null default clock_timestamp()
);

-- The grants of gaq_summaries at the end of the last installation, as statements. If the view is dropped (as DROP ...
-- CASCADE of a source table does), the next installation grants them again.
create table if not exists gaq.granted (statement text primary key);

-- The last report of each worker. A worker is running while a backend with its backend_pid exists.
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
    swept_found     int,                                -- pairs that the last sweep found and no ring had announced
    found_by_sweeps bigint not null default 0,          -- the sum over all sweeps
    doorbell_pid    int                                 -- the backend that holds the doorbell; null if the worker polls
);


-- The doorbell. NOTIFY takes a lock that is common to all databases of the server, and keeps the lock until its commit is
-- on the disk. So a writer notifies only when a worker sleeps. A worker that finds that writers wait for that lock stays
-- awake and polls.
-- A sleeping worker holds the advisory lock exclusively. A transaction that has marked something tries to get the lock
-- shared, which never waits:
--     if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then perform gaq.ring(); end if;
-- If the transaction gets the lock, all workers are awake, and no worker can go to sleep until the commit is visible. So
-- the workers will see its marks.
create or replace function gaq.bell_key() returns bigint
language sql immutable parallel safe
return 7449359913134156908;     -- the bytes of 'gaq_bell'

-- Lists the holders of the doorbell's lock: one sleeping worker that holds the lock exclusively, or any number of
-- transactions that have marked something.
create or replace view gaq.bell_holders as
select pid, mode = 'ExclusiveLock' as exclusively
from pg_catalog.pg_locks
where locktype = 'advisory' and granted and objsubid = 1
  and database = (select oid from pg_catalog.pg_database where datname = current_database())
  and (classid::bigint << 32 | objid::bigint) = gaq.bell_key();

-- Returns the key of the advisory lock that every refreshing transaction holds shared.
create or replace function gaq.batch_key() returns bigint
language sql immutable parallel safe
return 7449359913487135339;     -- the bytes of 'gaq_work'

-- Rings, except in two cases in which the sweep finds the marks later. A session that must PREPARE TRANSACTION cannot
-- notify, and sets gaq.bell = off. When the notification queue fills up, another notification could end in errors for
-- writers.
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

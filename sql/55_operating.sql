-- The functions that operators call, and those with which workers report their state.

set role gaq_owner;

-- Pauses all workers and gaq.drain: none of them begins a batch after the commit. Marks wait until gaq.resume, and a restart
-- of a worker or of the server changes nothing. gaq.pause and gaq.resume ring, so that workers react at once. They return
-- false if the workers were paused, or were not paused, already.
create or replace function gaq.pause(reason text default null, who text default session_user) returns bool
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    changed bool;
begin
    insert into gaq.paused (paused_by, reason) values (who, pause.reason) on conflict do nothing;
    changed := found;
    perform gaq.ring();
    return changed;
end
$$;

create or replace function gaq.resume() returns bool
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    changed bool;
begin
    delete from gaq.paused;
    changed := found;
    perform gaq.ring();
    return changed;
end
$$;

-- Returns the number of batches in flight, which are the other transactions that hold the batch lock of gaq.refresh.
create or replace function gaq.batches_in_flight() returns int
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select count(*)::int
    from pg_locks
    where locktype = 'advisory' and granted and objsubid = 1
      and database = (select oid from pg_database where datname = current_database())
      and (classid::bigint << 32 | objid::bigint) = gaq.batch_key()
      and pid <> pg_backend_pid();
end;


-- Every pair that exists or that has a summary.
create or replace view gaq.known_pairs as
select distinct data_pass_id, run_number
from (
    select data_pass_id::bigint, run_number::bigint from gaq.source_pairs
    union all
    select data_pass_id, run_number from gaq.summaries
) known;

-- Marks pairs, so that workers compute them again. Returns the number of pairs.
create or replace function gaq.recalculate(data_pass_ids bigint[], run_numbers bigint[], cause text default 'by hand')
returns int
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    marked int;
begin
    insert into gaq.invalidations (data_pass_id, run_number, cause)
    select distinct data_pass_id, run_number, recalculate.cause
    from unnest(data_pass_ids, run_numbers) u (data_pass_id, run_number);
    get diagnostics marked = row_count;
    if marked > 0 then
        perform gaq.ring_if_asleep();
    end if;
    return marked;
end
$$;

-- Makes failing pairs due at once: the given pairs, or all if none are given. Returns the number of pairs.
create or replace function gaq.retry_failures(data_pass_ids bigint[] default null, run_numbers bigint[] default null)
returns int
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    retried int;
begin
    update gaq.failures
    set next_try_at = clock_timestamp()
    where data_pass_ids is null
       or (data_pass_id, run_number) in (select * from unnest(data_pass_ids, run_numbers));
    get diagnostics retried = row_count;
    perform gaq.ring();
    return retried;
end
$$;


-- Returns the fresh ones of the given pairs whose stored summary differs from the recomputed one, in one snapshot. Each row
-- is drift, which means that no trigger saw a change. `recomputed` is null if the pair should have no summary, and `stored`
-- is null if the pair lacks one.
create or replace function gaq.differences(data_pass_ids bigint[], run_numbers bigint[])
returns table (
    data_pass_id bigint,
    data_pass text,
    run_number bigint,
    differs text,                           -- the columns that differ; 'missing' or 'left' for a summary that should be or not be
    stored jsonb,
    recomputed jsonb
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    with given as materialized (
        select distinct u.data_pass_id, u.run_number
        from unnest(data_pass_ids, run_numbers) u (data_pass_id, run_number)
        where not exists (select from gaq.pending p
                          where p.data_pass_id = u.data_pass_id and p.run_number = u.run_number)
    ), existing as materialized (
        select g.data_pass_id, g.run_number
        from given g
        where exists (select from gaq.source_pairs p
                      where p.data_pass_id = g.data_pass_id and p.run_number = g.run_number)
    ), computed as materialized (
        select c.data_pass_id, c.run_number, to_jsonb(c) - array['data_pass_id', 'run_number'] as recomputed
        from gaq.compute((select array_agg(data_pass_id) from existing), (select array_agg(run_number) from existing)) c
    ), stored as (
        select s.data_pass_id, s.run_number,
               jsonb_build_object(
                   'bad_run_coverage', s.bad_run_coverage,
                   'explicitly_not_bad_run_coverage', s.explicitly_not_bad_run_coverage,
                   'mc_reproducible_coverage', s.mc_reproducible_coverage,
                   'missing_verifications_count', s.missing_verifications_count,
                   'undefined_quality_periods_count', s.undefined_quality_periods_count,
                   'not_computable', s.not_computable) as stored
        from gaq.summaries s
        join given using (data_pass_id, run_number)
        where s.updated_at is not null
    )
    select d.data_pass_id, named.name, d.run_number,
           case when d.stored is null then 'missing'
                when d.recomputed is null then 'left'
                else (select string_agg(key, ', ' order by key)
                      from jsonb_each(d.stored) e (key, value)
                      where value is distinct from d.recomputed -> key) end,
           d.stored, d.recomputed
    from (computed full join stored using (data_pass_id, run_number)) d
    left join gaq.source_data_passes named on named.id = d.data_pass_id
    where d.stored is distinct from d.recomputed
    order by d.data_pass_id, d.run_number;
end;


-- Returns whether this backend exists and belongs to a worker that gaq.workers lists. A row that is older than the start of
-- the server, or of the backend, describes another session that had the same pid. (backend_start is null for a role that
-- may not see the start of foreign sessions.)
create or replace function gaq.backend_exists(backend_pid int) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    select exists (select from gaq.workers w
                   join pg_stat_activity a on a.pid = w.backend_pid
                   where w.backend_pid = backend_exists.backend_pid and a.datname = current_database()
                     and w.seen_at >= pg_postmaster_start_time()
                     and (a.backend_start is null or a.backend_start <= w.seen_at));
end;

-- Registers a worker under its name. Raises an error if another running worker has that name. The backend identifies the
-- worker, because two containers may have the same host name and the same pid. A worker that connects again passes its
-- former backend, which the server may not have ended yet. That session may be frozen in gaq.worker_heartbeat and still lock
-- the row. The lock timeout then ends the call, and the worker tries again later.
create or replace function gaq.register_worker(name text, host text, pid int, backend_before int default null) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
as $$
declare
    other gaq.workers;
begin
    delete from gaq.workers w
    where w.seen_at < clock_timestamp() - interval '1 day' and not gaq.backend_exists(w.backend_pid);
    select * into other from gaq.workers w where w.name = register_worker.name for update;
    if other.backend_pid is distinct from backend_before and other.backend_pid <> pg_backend_pid()
       and gaq.backend_exists(other.backend_pid) then
        raise exception 'another worker is called %: process % on %', other.name, other.pid, other.host
            using hint = 'give each worker a --name of its own', errcode = 'unique_violation';
    end if;
    insert into gaq.workers as w (name, host, pid, backend_pid, state)
    values (register_worker.name, register_worker.host, register_worker.pid, pg_backend_pid(), 'starting')
    on conflict on constraint workers_pkey do update
    set host = excluded.host, pid = excluded.pid, backend_pid = excluded.backend_pid, state = excluded.state,
        started_at = case when w.backend_pid = backend_before then w.started_at else excluded.started_at end,
        seen_at = excluded.seen_at, batches = 0, pairs = 0, swept_at = null, swept_found = null, found_by_sweeps = 0,
        doorbell_pid = null;
end
$$;

-- Records which other backend of the worker sleeps at the doorbell. Null means that none does, because the worker polls.
create or replace function gaq.register_doorbell(name text, doorbell_pid int) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
    update gaq.workers w
    set doorbell_pid = register_doorbell.doorbell_pid
    where w.name = register_doorbell.name and w.backend_pid = pg_backend_pid();
end;

create or replace function gaq.worker_heartbeat(
    name text, state text, batches bigint, pairs bigint, found_by_sweeps bigint, swept_found int default null
) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
    update gaq.workers w
    set state = worker_heartbeat.state, seen_at = clock_timestamp(), batches = worker_heartbeat.batches, pairs = worker_heartbeat.pairs,
        found_by_sweeps = worker_heartbeat.found_by_sweeps,
        swept_at = case when worker_heartbeat.swept_found is null then w.swept_at else clock_timestamp() end,
        swept_found = coalesce(worker_heartbeat.swept_found, w.swept_found)
    where w.name = worker_heartbeat.name and w.backend_pid = pg_backend_pid();
end;

create or replace function gaq.unregister_worker(name text) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
    delete from gaq.workers w where w.name = unregister_worker.name and w.backend_pid = pg_backend_pid();
end;

reset role;

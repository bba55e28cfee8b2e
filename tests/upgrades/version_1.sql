-- Schema gaq: what is stored, the marks that say what is stale, and the doorbell.
-- Nothing in this file knows the source tables. It can be applied again at any time.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

create schema if not exists gaq;
comment on schema gaq is 'gaq-listen: keeps Global Aggregated Quality summaries fresh';


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
    id             bigint primary key generated always as identity,
    kind           text not null check (kind in ('run', 'flag type', 'flag', 'everything')),
    key            bigint,                              -- the run, type or flag; null for everything
    invalidated_at timestamptz not null default clock_timestamp(),
    cause          text not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Rows without a key must stay deletable under CREATE PUBLICATION ... FOR ALL TABLES.
alter table gaq.invalidations replica identity full;

-- Only who has locked this row adds rows to gaq.summaries, so two workers never wait for each other's insert.
create table if not exists gaq.seeding (only_row bool primary key default true check (only_row));
insert into gaq.seeding default values on conflict do nothing;


-- The doorbell. NOTIFY takes a lock that is common to all databases of the server, through commit; so it rings only
-- when somebody sleeps. A sleeping worker holds the advisory lock exclusively. A transaction that gets it shared knows
-- that all workers are awake, and keeps them so until its commit is visible: they will see its marks without a bell.
create or replace function gaq.bell_key() returns bigint
language sql immutable parallel safe
return 7449359913134156908;     -- the bytes of 'gaq_bell'

create or replace function gaq.ring() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        return;
    end if;
    -- A session that must PREPARE TRANSACTION cannot notify: it sets gaq.bell = off, and the sweep finds its marks.
    -- A notification queue that fills up would end in errors for writers: then, too, the sweep has to do.
    if current_setting('gaq.bell', true) is distinct from 'off' and pg_notification_queue_usage() < 0.5 then
        perform pg_notify('gaq_invalidated', '');
    end if;
end
$$;

revoke all on all routines in schema gaq from public;
-- The source tables: the only file that names them. A database with other names adapts this file and no other.
-- Three parts: views through which everything else reads them; which pairs a wide mark stands for; the triggers that mark.
-- The tables are looked for in schema public, or in the schema that the setting gaq.source_schema names:
--   PGOPTIONS='-c gaq.source_schema=bookkeeping' psql -1 -f 20_sources.sql

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;


-- 1. What is read -----------------------------------------------------------------------------------------------------

create or replace view gaq.source_runs as
select run_number, qc_time_start, qc_time_end from runs;

-- A pair exists exactly while it is here.
create or replace view gaq.source_pairs as
select data_pass_id, run_number from data_pass_runs;

create or replace view gaq.source_gaq_detectors as
select data_pass_id, run_number, detector_id from gaq_detectors;

-- Flags that count: of a data pass, and not deleted.
create or replace view gaq.source_flags as
select id, data_pass_id, run_number, detector_id, flag_type_id, "from" as starts, "to" as ends, created_at
from qc_flags
where data_pass_id is not null and not deleted;

create or replace view gaq.source_flag_types as
select id, name, bad, mc_reproducible from qc_flag_types;

create or replace view gaq.source_verifications as
select flag_id from qc_flag_verifications;

-- Names, for people.
create or replace view gaq.source_data_passes as
select id, name from data_passes;

create or replace view gaq.source_detectors as
select id, name from detectors;


-- 2. Which pairs a wide mark stands for ---------------------------------------------------------------------------------
-- Read at any time after the mark was committed: a pair that comes to belong to the thing later has a mark of its own.

create or replace view gaq.expanded_invalidations as
select w.id as wide_id, p.data_pass_id, p.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join data_pass_runs p on p.run_number = w.key
where w.kind = 'run'
union all
select w.id, f.data_pass_id, f.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join qc_flags f on f.flag_type_id = w.key
join gaq_detectors d using (data_pass_id, run_number, detector_id)
where w.kind = 'flag type' and not f.deleted
union all
select w.id, f.data_pass_id, f.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join qc_flags f on f.id = w.key
join gaq_detectors d using (data_pass_id, run_number, detector_id)
where w.kind = 'flag' and not f.deleted
union all
select w.id, p.data_pass_id, p.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
cross join data_pass_runs p
where w.kind = 'everything'
union all
select w.id, s.data_pass_id, s.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
cross join gaq.summaries s
where w.kind = 'everything';


-- 3. What marks ---------------------------------------------------------------------------------------------------------
-- One call a statement, whatever the number of rows. Each function compares the rows that count, before and after: what
-- stands on one side only has changed. None of them reads a table, so a concurrent transaction cannot hide anything
-- from it. They run as their owner: a writer needs no right on schema gaq.

-- A flag carries its pair.
create or replace function gaq.mark_qc_flags() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct data_pass_id, run_number, 'flag'
        from new_rows where data_pass_id is not null and not deleted;
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct data_pass_id, run_number, 'flag'
        from old_rows where data_pass_id is not null and not deleted;
    else
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        with before as (
            select id, data_pass_id, run_number, detector_id, flag_type_id, "from", "to", created_at
            from old_rows where data_pass_id is not null and not deleted
        ), after as (
            select id, data_pass_id, run_number, detector_id, flag_type_id, "from", "to", created_at
            from new_rows where data_pass_id is not null and not deleted
        )
        select distinct data_pass_id, run_number, 'flag'
        from ((table before except table after) union all (table after except table before)) changed;
    end if;
    if found then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace trigger gaq_insert after insert on qc_flags
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flags();
create or replace trigger gaq_update after update on qc_flags
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flags();
create or replace trigger gaq_delete after delete on qc_flags
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flags();


-- So does an entry of the list of detectors that matter.
create or replace function gaq.mark_gaq_detectors() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct data_pass_id, run_number, 'detectors' from new_rows;
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct data_pass_id, run_number, 'detectors' from old_rows;
    else
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        with before as (select data_pass_id, run_number, detector_id from old_rows),
             after as (select data_pass_id, run_number, detector_id from new_rows)
        select distinct data_pass_id, run_number, 'detectors'
        from ((table before except table after) union all (table after except table before)) changed;
    end if;
    if found then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace trigger gaq_insert after insert on gaq_detectors
    referencing new table as new_rows for each statement execute function gaq.mark_gaq_detectors();
create or replace trigger gaq_update after update on gaq_detectors
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_gaq_detectors();
create or replace trigger gaq_delete after delete on gaq_detectors
    referencing old table as old_rows for each statement execute function gaq.mark_gaq_detectors();


-- And a run that enters or leaves a data pass.
create or replace function gaq.mark_data_pass_runs() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct data_pass_id, run_number, 'data pass' from new_rows;
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct data_pass_id, run_number, 'data pass' from old_rows;
    else
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        with before as (select data_pass_id, run_number from old_rows),
             after as (select data_pass_id, run_number from new_rows)
        select data_pass_id, run_number, 'data pass'
        from ((table before except table after) union all (table after except table before)) changed;
    end if;
    if found then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace trigger gaq_insert after insert on data_pass_runs
    referencing new table as new_rows for each statement execute function gaq.mark_data_pass_runs();
create or replace trigger gaq_update after update on data_pass_runs
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_data_pass_runs();
create or replace trigger gaq_delete after delete on data_pass_runs
    referencing old table as old_rows for each statement execute function gaq.mark_data_pass_runs();


-- A verification names its flag. Whether it is the first of the flag cannot be told without a lock, so each one marks.
create or replace function gaq.mark_qc_flag_verifications() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select distinct 'flag', flag_id, 'verification' from new_rows;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select distinct 'flag', flag_id, 'verification' from old_rows;
    else
        insert into gaq.wide_invalidations (kind, key, cause)
        with before as (select flag_id from old_rows),
             after as (select flag_id from new_rows)
        select distinct 'flag', flag_id, 'verification'
        from ((table before except all table after) union all (table after except all table before)) changed;
    end if;
    if found then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace trigger gaq_insert after insert on qc_flag_verifications
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flag_verifications();
create or replace trigger gaq_update after update on qc_flag_verifications
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flag_verifications();
create or replace trigger gaq_delete after delete on qc_flag_verifications
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flag_verifications();


-- A run counts by its QC times. Inserts and deletes matter where a deferred foreign key lets a run be replaced.
create or replace function gaq.mark_runs() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select 'run', run_number, 'run times'
        from new_rows where qc_time_start is not null or qc_time_end is not null;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select 'run', run_number, 'run times'
        from old_rows where qc_time_start is not null or qc_time_end is not null;
    else
        insert into gaq.wide_invalidations (kind, key, cause)
        with before as (select run_number, qc_time_start, qc_time_end from old_rows),
             after as (select run_number, qc_time_start, qc_time_end from new_rows)
        select distinct 'run', run_number, 'run times'
        from ((table before except table after) union all (table after except table before)) changed;
    end if;
    if found then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace trigger gaq_insert after insert on runs
    referencing new table as new_rows for each statement execute function gaq.mark_runs();
create or replace trigger gaq_update after update on runs
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_runs();
create or replace trigger gaq_delete after delete on runs
    referencing old table as old_rows for each statement execute function gaq.mark_runs();


-- A flag type counts by being bad and being MC reproducible.
create or replace function gaq.mark_qc_flag_types() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select 'flag type', id, 'flag type' from new_rows;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select 'flag type', id, 'flag type' from old_rows;
    else
        insert into gaq.wide_invalidations (kind, key, cause)
        with before as (select id, bad, mc_reproducible from old_rows),
             after as (select id, bad, mc_reproducible from new_rows)
        select distinct 'flag type', id, 'flag type'
        from ((table before except table after) union all (table after except table before)) changed;
    end if;
    if found then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace trigger gaq_insert after insert on qc_flag_types
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flag_types();
create or replace trigger gaq_update after update on qc_flag_types
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flag_types();
create or replace trigger gaq_delete after delete on qc_flag_types
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flag_types();


-- TRUNCATE tells no rows, so everything is marked.
create or replace function gaq.mark_everything() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    insert into gaq.wide_invalidations (kind, cause) values ('everything', 'truncate');
    perform gaq.ring();
    return null;
end
$$;

create or replace trigger gaq_truncate after truncate on qc_flags execute function gaq.mark_everything();
create or replace trigger gaq_truncate after truncate on gaq_detectors execute function gaq.mark_everything();
create or replace trigger gaq_truncate after truncate on data_pass_runs execute function gaq.mark_everything();
create or replace trigger gaq_truncate after truncate on qc_flag_verifications execute function gaq.mark_everything();
create or replace trigger gaq_truncate after truncate on runs execute function gaq.mark_everything();
create or replace trigger gaq_truncate after truncate on qc_flag_types execute function gaq.mark_everything();


-- Also where session_replication_role = replica silences ordinary triggers.
do $$
declare
    marking record;
begin
    for marking in
        select tgrelid::regclass as source_table, tgname
        from pg_trigger
        join pg_proc on pg_proc.oid = tgfoid
        join pg_class on pg_class.oid = tgrelid
        where pronamespace = 'gaq'::regnamespace and relkind in ('r', 'p') and tgparentid = 0 and tgenabled <> 'A'
    loop
        execute format('alter table %s enable always trigger %I', marking.source_table, marking.tgname);
    end loop;
end
$$;

revoke all on all routines in schema gaq from public;
-- The computation: the Global Aggregated Quality of any number of pairs, in one statement, from the views of 20_sources.sql.
-- It reads and returns; it stores nothing. EXPLAIN its body with arrays of pairs to see what it costs.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

-- Lengths are whole microseconds in double precision: exact, so that parts add up to the whole.
create or replace function gaq.microseconds(interval) returns double precision
language sql immutable parallel safe
return round(date_part('epoch', $1) * 1e6);

create or replace function gaq.refuse(reason text) returns int
language plpgsql
as $$
begin
    raise exception '%', reason;
end
$$;

-- Given: parallel arrays of data_pass_id and run_number. Returned: one row a distinct pair; a pair that cannot be
-- computed has not_computable and no values.
create or replace function gaq.compute(data_pass_ids bigint[], run_numbers bigint[])
returns table (
    data_pass_id bigint,
    run_number bigint,
    bad_run_coverage double precision,
    explicitly_not_bad_run_coverage double precision,
    mc_reproducible_coverage double precision,
    missing_verifications_count int,
    undefined_quality_periods_count int,
    not_computable bool
)
language plpgsql stable security definer rows 10
set search_path = pg_catalog, pg_temp
set row_security = off                      -- an error, rather than a summary of the rows that a policy lets through
set plan_cache_mode = force_generic_plan    -- planning would take longer than computing
set jit = off
as $$
#variable_conflict use_column
begin
return query

-- The pairs: the window of the run, [w_start, w_end), and the detectors that matter. The integer key makes sorts cheap.
with pair as materialized (
    select given.pair, given.data_pass_id, given.run_number,
           run.qc_time_start as w_start, run.qc_time_end as w_end,
           listed.detectors, listed.n,
           coalesce(isfinite(run.qc_time_start) and isfinite(run.qc_time_end)
                    and run.qc_time_start < run.qc_time_end, false)
               and listed.n > 0
               and exists (select from gaq.source_flags f
                           where f.data_pass_id = given.data_pass_id and f.run_number = given.run_number) as computable
    from (
        select row_number() over ()::int as pair, u.data_pass_id, u.run_number
        from (select distinct * from unnest(data_pass_ids, run_numbers)) u (data_pass_id, run_number)
    ) given
    left join gaq.source_runs run on run.run_number = given.run_number
    cross join lateral (
        select array_agg(distinct d.detector_id) as detectors, count(distinct d.detector_id)::int as n
        from gaq.source_gaq_detectors d
        where d.data_pass_id = given.data_pass_id and d.run_number = given.run_number
    ) listed
),

-- Their flags on those detectors, clipped to the window. greatest() and least() pass over nulls, so that no bound
-- means the window's.
flag as (
    select p.pair, f.id, f.detector_id, f.flag_type_id, f.created_at,
           tstzrange(greatest(f.starts, p.w_start), least(f.ends, p.w_end)) as span
    from pair p
    join gaq.source_flags f on f.data_pass_id = p.data_pass_id and f.run_number = p.run_number
    where p.computable
      and f.detector_id = any (p.detectors)
      and greatest(f.starts, p.w_start) < least(f.ends, p.w_end)
),

-- Effective periods: what the later flags on the same detector leave of a flag.
effective as materialized (
    select pair, id, flag_type_id,
           tstzmultirange(span) - coalesce(range_agg(span) over later, '{}') as periods
    from flag
    window later as (partition by pair, detector_id order by created_at desc, id desc
                     rows between unbounded preceding and 1 preceding)
),

-- A detector has at most one effective flag at a time. So a running sum over the bounds of effective periods counts, at
-- any instant, the detectors that are covered, those whose flag is bad, and those whose flag is MC reproducible. The
-- three counters share an integer: covered + 2^10 bad + 2^20 MC reproducible, at most 1023 of each.
period as (
    select e.pair, unnest(e.periods) as span,
           case when t.mc_reproducible then 1 + 1048576 when t.bad then 1 + 1024 else 1 end as counters
    from effective e
    join gaq.source_flag_types t on t.id = e.flag_type_id
),
instant as (
    select pair, at, sum(change) as change
    from (
        select pair, lower(span) as at, counters as change from period
        union all
        select pair, upper(span), -counters from period
        union all
        select pair, w_start, 0 from pair where computable
        union all
        select pair, w_end, 0 from pair where computable
    ) bound
    group by pair, at
),
-- Elementary periods: from each bound to the next. The last row, at the end of the window, has no length.
elementary as (
    select pair, lead(at) over timeline - at as length, sum(change::int) over timeline as counters
    from instant
    window timeline as (partition by pair order by at)
),
counted as (
    select pair, gaq.microseconds(length) as length,
           (counters & 1023)::int as covered, (counters >> 10) & 1023 as bad, counters >> 20 as mc_reproducible
    from elementary
    where length is not null
),
coverage as (
    select c.pair,
           sum(length) filter (where covered = n and bad > 0) as bad,
           sum(length) filter (where covered = n and bad = 0 and mc_reproducible > 0) as mc_reproducible,
           sum(length) filter (where covered = n and bad = 0 and mc_reproducible = 0) as good,
           sum(n - covered) as undefined
    from counted c
    join pair using (pair)
    group by c.pair
),

missing as (
    select pair, count(*) as verifications
    from effective e
    where not isempty(periods)
      and not exists (select from gaq.source_verifications v where v.flag_id = e.id)
    group by pair
)

select p.data_pass_id, p.run_number,
       case when p.computable then coalesce(c.bad, 0) / whole.length end,
       case when p.computable then coalesce(c.good, 0) / whole.length end,
       case when p.computable then coalesce(c.mc_reproducible, 0) / whole.length end,
       case when p.computable then coalesce(m.verifications, 0)::int end,
       case when p.computable then c.undefined::int end,
       not p.computable
from pair p
left join coverage c using (pair)
left join missing m using (pair)
cross join lateral (
    select case when p.n > 1023 then gaq.refuse(format(
                    'run %s in data pass %s has %s GAQ detectors: at most 1023 can be counted',
                    p.run_number, p.data_pass_id, p.n))
                when p.computable then gaq.microseconds(p.w_end - p.w_start)
           end as length
) whole;

end
$$;

revoke all on all routines in schema gaq from public;
-- The refresh: takes the oldest pairs that are due, computes and stores them. A worker calls it, and so can anybody with
-- psql or pg_cron:
--   select * from gaq.refresh(max_pairs => 100);     -- one batch
--   call gaq.drain();                                -- batch after batch, with a commit after each

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

-- When a pair is due that was first and last marked at these times and refreshed at that time before. A pair that was
-- quiet is due at once; one that has just been refreshed waits until it has been quiet, but not longer than max_wait.
create or replace function gaq.due_at(
    first_mark timestamptz, last_mark timestamptz, refreshed timestamptz, quiet interval, max_wait interval
) returns timestamptz
language sql immutable parallel safe
return case when refreshed is null or refreshed + quiet <= first_mark then first_mark
            else least(last_mark + quiet, first_mark + max_wait) end;


-- Seconds until something is due, by the server's clock. Null: there is no mark at all. Zero: something is due already,
-- so another worker has claimed it, or it has just come.
create or replace function gaq.next_due(quiet interval default '0', max_wait interval default '0')
returns double precision
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select case
        when exists (select from gaq.wide_invalidations) then 0
        when exists (select from gaq.invalidations where invalidated_at <= clock_timestamp() - max_wait) then 0
        else (
            select case when count(*) > 0      -- greatest() would make a zero of no mark
                        then greatest(0, date_part('epoch', min(gaq.due_at(first_mark, last_mark, s.updated_at, quiet, max_wait))
                                                            - clock_timestamp())) end
            from (
                select data_pass_id, run_number, min(invalidated_at) as first_mark, max(invalidated_at) as last_mark
                from gaq.invalidations
                group by data_pass_id, run_number
            ) marked
            left join gaq.summaries s using (data_pass_id, run_number)
        )
    end;
end;


-- Wide marks become marks of pairs. Returns how many wide marks were expanded.
create or replace function gaq.expand(max_marks int default 1000) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    ids bigint[];
begin
    select array_agg(id) into ids
    from (select id from gaq.wide_invalidations order by id limit max_marks for update skip locked) w;
    if ids is null then
        return 0;
    end if;
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    select data_pass_id, run_number, min(invalidated_at), cause
    from gaq.expanded_invalidations
    where wide_id = any (ids)
    group by data_pass_id, run_number, cause;
    delete from gaq.wide_invalidations where id = any (ids);
    return cardinality(ids);
end
$$;


-- Refreshes up to max_pairs due pairs, the ones first marked first, and returns them. All in the caller's transaction,
-- which must be READ COMMITTED: each statement below relies on a snapshot of its own, taken after the one before it.
create or replace function gaq.refresh(
    max_pairs int default 100,
    quiet interval default '0',             -- see gaq.due_at; zero: whatever is marked is due
    max_wait interval default '0',
    announce bool default true              -- notify gaq_refreshed of the pairs, with the commit
)
returns table (
    data_pass_id bigint,
    data_pass text,                         -- its name
    run_number bigint,
    invalidated_at timestamptz,             -- stale since
    seconds_stale double precision,
    causes text,
    good_before double precision,           -- explicitly_not_bad_run_coverage, before and after
    good_after double precision,
    removed bool                            -- the pair is in no data pass any more: so is its summary
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan    -- planning would take longer than refreshing a pair
set enable_seqscan = off                    -- a plan made while the marks were few must do when they are many
as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
    scanned int := greatest(4 * max_pairs, 1000);
    found_marks int;
    unseeded bool;
    passes bigint[];
    runs bigint[];
    goods double precision[];
    since timestamptz[];
    why text[];
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'gaq.refresh needs a READ COMMITTED transaction, this one is %',
                        upper(current_setting('transaction_isolation'))
            using hint = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED', errcode = 'invalid_transaction_state';
    end if;
    if max_pairs is null or max_pairs < 1 then
        raise exception 'max_pairs must be at least 1' using errcode = 'invalid_parameter_value';
    end if;

    perform gaq.expand();

    -- The oldest marks, in the order of the index. When they hold too few pairs to claim, look further: a pair may have
    -- any number of marks, and another worker may have claimed the oldest.
    loop
        select count(*), coalesce(bool_or(s.data_pass_id is null), false) into found_marks, unseeded
        from (select data_pass_id, run_number from gaq.invalidations order by invalidated_at limit scanned) m
        left join gaq.summaries s using (data_pass_id, run_number);

        -- The row of a summary is what a claim locks, so each pair needs one first.
        if unseeded then
            perform from gaq.seeding for update skip locked;
            if found then
                -- (Not those that are seen: another worker may be removing one, which must neither be waited for nor
                -- come back.)
                insert into gaq.summaries (data_pass_id, run_number)
                select distinct data_pass_id, run_number
                from (select data_pass_id, run_number from gaq.invalidations order by invalidated_at limit scanned) m
                where not exists (select from gaq.summaries s
                                  where s.data_pass_id = m.data_pass_id and s.run_number = m.run_number)
                on conflict do nothing;
            end if;
        end if;

        -- Claim: nobody else refreshes these pairs until we commit. Pairs that somebody else holds are passed over.
        select array_agg(data_pass_id), array_agg(run_number), array_agg(good)
        into passes, runs, goods
        from (
            select s.data_pass_id, s.run_number, s.explicitly_not_bad_run_coverage as good
            from (
                select data_pass_id, run_number, min(invalidated_at) as first_mark
                from (select data_pass_id, run_number, invalidated_at
                      from gaq.invalidations order by invalidated_at limit scanned) oldest
                group by data_pass_id, run_number
            ) m
            join gaq.summaries s using (data_pass_id, run_number)
            where m.first_mark > at                 -- the server's clock was set back
               or m.first_mark <= at - max_wait
               or gaq.due_at(m.first_mark,
                             (select max(l.invalidated_at) from gaq.invalidations l
                              where l.data_pass_id = s.data_pass_id and l.run_number = s.run_number),
                             s.updated_at, quiet, max_wait) <= at
            order by m.first_mark
            limit max_pairs
            for no key update of s skip locked
        ) claimed;
        exit when cardinality(passes) >= max_pairs or found_marks < scanned;
        scanned := scanned * 8;
    end loop;
    if passes is null then
        return;
    end if;

    -- The marks of these pairs that we see, no others: what is committed from here on keeps its mark.
    -- (offset 0: an index scan for each pair, never a scan of all marks for each.)
    with folded as (
        delete from gaq.invalidations i
        where i.ctid = any (array(
            select m.mark
            from unnest(passes, runs) claimed (data_pass_id, run_number),
            lateral (select i.ctid as mark from gaq.invalidations i
                     where i.data_pass_id = claimed.data_pass_id and i.run_number = claimed.run_number offset 0) m))
        returning i.data_pass_id, i.run_number, i.invalidated_at, i.cause
    )
    select array_agg(data_pass_id), array_agg(run_number), array_agg(good), array_agg(first_mark), array_agg(causes)
    into passes, runs, goods, since, why
    from (
        select data_pass_id, run_number, min(good) as good,
               min(invalidated_at) as first_mark, string_agg(distinct cause, ', ' order by cause) as causes
        from folded
        join unnest(passes, runs, goods) claimed (data_pass_id, run_number, good) using (data_pass_id, run_number)
        group by data_pass_id, run_number
    ) pair;
    if passes is null then      -- another worker had folded them between our look and our claim
        return;
    end if;

    -- A later statement, so a later snapshot: it sees every change whose mark has just been deleted.
    return query
    with claimed as (
        select * from unnest(passes, runs, goods, since, why) u (data_pass_id, run_number, good, first_mark, causes)
    ), present as materialized (
        select c.data_pass_id, c.run_number
        from claimed c
        where exists (select from gaq.source_pairs p
                      where p.data_pass_id = c.data_pass_id and p.run_number = c.run_number)
    ), gone as (
        delete from gaq.summaries s using claimed c
        where s.data_pass_id = c.data_pass_id and s.run_number = c.run_number
          and not exists (select from present p where p.data_pass_id = s.data_pass_id and p.run_number = s.run_number)
    ), fresh as materialized (
        select f.* from gaq.compute((select array_agg(data_pass_id) from present), (select array_agg(run_number) from present)) f
    ), stored as (
        update gaq.summaries s
        set bad_run_coverage = f.bad_run_coverage,
            explicitly_not_bad_run_coverage = f.explicitly_not_bad_run_coverage,
            mc_reproducible_coverage = f.mc_reproducible_coverage,
            missing_verifications_count = f.missing_verifications_count,
            undefined_quality_periods_count = f.undefined_quality_periods_count,
            not_computable = f.not_computable,
            updated_at = clock_timestamp()
        from fresh f
        where s.data_pass_id = f.data_pass_id and s.run_number = f.run_number
    )
    select c.data_pass_id, named.name, c.run_number,
           c.first_mark, date_part('epoch', clock_timestamp() - c.first_mark), c.causes,
           c.good, f.explicitly_not_bad_run_coverage, f.data_pass_id is null
    from claimed c
    left join fresh f on f.data_pass_id = c.data_pass_id and f.run_number = c.run_number
    left join gaq.source_data_passes named on named.id = c.data_pass_id
    order by c.first_mark;

    if announce then
        perform gaq.announce(passes, runs);
    end if;
end
$$;


-- Tells downstream listeners which pairs were refreshed: '[[data_pass_id, run_number], ...]', in as many notifications
-- as their limit of 8000 bytes asks for.
create or replace function gaq.announce(passes bigint[], runs bigint[]) returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    select pg_notify('gaq_refreshed', json_agg(json_build_array(data_pass_id, run_number))::text)
    from (
        select data_pass_id, run_number, (row_number() over () - 1) / 150 as message
        from unnest(passes, runs) u (data_pass_id, run_number)
    ) pair
    group by message;
end;


-- Drains the backlog, with a commit after each batch.
create or replace procedure gaq.drain(max_pairs int default 400)
language plpgsql
as $$
declare
    refreshed int;
begin
    loop
        select count(*) into refreshed from gaq.refresh(max_pairs);
        commit;
        exit when refreshed = 0;
    end loop;
end
$$;

revoke all on all routines in schema gaq from public;
-- gaq_summaries: what web applications and physicists read. It lies beside the source tables (see gaq.source_schema in
-- 20_sources.sql), and stands for the stored summaries together with the oldest mark of each pair.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

create or replace view gaq.pending as
select data_pass_id, run_number, min(invalidated_at) as invalidated_at
from (
    select data_pass_id, run_number, invalidated_at from gaq.invalidations
    union all
    select data_pass_id, run_number, invalidated_at from gaq.expanded_invalidations
) mark
group by data_pass_id, run_number;

-- FULL JOIN USING: a condition on the pair reaches both sides, and a pair that was never computed is seen.
create or replace view gaq.current_summaries as
select data_pass_id,
       run_number,
       s.bad_run_coverage,
       s.explicitly_not_bad_run_coverage,
       s.mc_reproducible_coverage,
       s.missing_verifications_count,
       s.undefined_quality_periods_count,
       s.not_computable,                    -- null: not computed yet
       p.invalidated_at,                    -- stale since; null: fresh
       s.created_at,
       s.updated_at
from gaq.summaries s
full join gaq.pending p using (data_pass_id, run_number);

-- The name that others rely on, where they look for it.
create or replace view gaq_summaries as
select data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,
       missing_verifications_count, undefined_quality_periods_count, not_computable, invalidated_at, created_at, updated_at
from gaq.current_summaries;

comment on view gaq_summaries is
    'Global Aggregated Quality of each data pass and run; stale while invalidated_at is not null. '
    'To ask for recomputation: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...';


-- UPDATE of invalidated_at and INSERT of a pair ask for recomputation.
create or replace function gaq.request() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'UPDATE' then
        if (to_jsonb(new) - 'invalidated_at') is distinct from (to_jsonb(old) - 'invalidated_at') then
            raise exception 'gaq_summaries is computed: only its invalidated_at can be updated'
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        if new.invalidated_at is null then
            raise exception 'gaq_summaries.invalidated_at cannot be set to null: only a refresh makes a summary fresh'
                using hint = 'To ask for a refresh: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...',
                      errcode = 'object_not_in_prerequisite_state';
        end if;
    elsif new.data_pass_id is null or new.run_number is null then
        raise exception 'a request for a summary names its data_pass_id and its run_number'
            using errcode = 'not_null_violation';
    end if;
    insert into gaq.invalidations (data_pass_id, run_number, cause)
    values (new.data_pass_id, new.run_number, 'by hand');
    perform gaq.ring();
    return new;
end
$$;

create or replace trigger gaq_request instead of insert or update on gaq_summaries
    for each row execute function gaq.request();

revoke all on all routines in schema gaq from public;
-- What a monitor or an operator asks, and the pairs that were there before gaq-listen.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

create or replace view gaq.status as
select pending.stale_pairs,
       pending.stale_since,                 -- the oldest mark; null: everything is fresh
       stored.summaries,
       stored.not_computable,
       stored.last_refresh,
       -- A sleeping worker holds the doorbell's lock exclusively; see gaq.ring in 10_marks.sql.
       exists (
           select from pg_catalog.pg_locks
           where locktype = 'advisory' and granted and mode = 'ExclusiveLock' and objsubid = 1
             and database = (select oid from pg_catalog.pg_database where datname = current_database())
             and (classid::bigint << 32 | objid::bigint) = gaq.bell_key()
       ) as somebody_listens,
       triggers.enabled as triggers_enabled,
       triggers.disabled as triggers_disabled
from (
    select count(*) as stale_pairs, min(invalidated_at) as stale_since from gaq.pending
) pending
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


-- Pairs that were there before the triggers, and were never computed.
insert into gaq.invalidations (data_pass_id, run_number, cause)
select p.data_pass_id, p.run_number, 'installation'
from gaq.source_pairs p
where not exists (select from gaq.summaries s
                  where s.data_pass_id = p.data_pass_id and s.run_number = p.run_number and s.updated_at is not null)
  and not exists (select from gaq.invalidations i
                  where i.data_pass_id = p.data_pass_id and i.run_number = p.run_number);

do $$ begin perform gaq.ring(); end $$;

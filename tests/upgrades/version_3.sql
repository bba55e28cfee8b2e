-- What version 3 installed, without its comments.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

do $$
declare
    wanted text;
begin
    foreach wanted in array array['gaq_owner', 'gaq_worker', 'gaq_reader'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            begin
                execute format('create role %I nologin', wanted);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
    end loop;
    if not pg_has_role('gaq_worker', 'gaq_reader', 'member') then
        grant gaq_reader to gaq_worker;
    end if;
    if not pg_has_role(current_user, 'gaq_owner',
                       case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end) then
        execute format('grant gaq_owner to %I', current_user);
    end if;
end
$$;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

do $$
declare
    thing record;
begin
    if to_regnamespace('gaq') is null or to_regclass('gaq.installation') is not null then
        return;
    end if;
    alter schema gaq owner to gaq_owner;
    for thing in
        select case relkind when 'v' then 'view' else 'table' end as kind, oid::regclass as name
        from pg_class where relnamespace = 'gaq'::regnamespace and relkind in ('r', 'v')
    loop
        execute format('alter %s %s owner to gaq_owner', thing.kind, thing.name);
    end loop;
    for thing in
        select oid::regprocedure as name from pg_proc where pronamespace = 'gaq'::regnamespace
    loop
        execute format('alter routine %s owner to gaq_owner', thing.name);
    end loop;
    alter table gaq.summaries add column if not exists seconds_stale double precision, add column if not exists refreshed_for text,
        add column if not exists refreshed_by text;
    alter table gaq.wide_invalidations
        add column if not exists place bigint,
        alter column id drop identity if exists,
        alter column id set default hashtextextended(gen_random_uuid()::text, 0),
        drop constraint if exists wide_invalidations_kind_check,
        add check (kind in ('run', 'flag type', 'flag', 'everything', 'flag in run', 'flag in data pass'));
    drop function if exists gaq.refresh(int, interval, interval, bool);
    drop view if exists gaq.status;
end
$$;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

create schema if not exists gaq authorization gaq_owner;
set role gaq_owner;
comment on schema gaq is 'gaq-listen: keeps Global Aggregated Quality summaries fresh';

create table if not exists gaq.summaries (
    data_pass_id                    bigint not null,
    run_number                      bigint not null,
    bad_run_coverage                double precision,
    explicitly_not_bad_run_coverage double precision,
    mc_reproducible_coverage        double precision,
    missing_verifications_count     int,
    undefined_quality_periods_count int,
    not_computable                  bool,
    created_at                      timestamptz not null default clock_timestamp(),
    updated_at                      timestamptz,
    seconds_stale                   double precision,
    refreshed_for                   text,
    refreshed_by                    text,
    primary key (data_pass_id, run_number)
) with (fillfactor = 70);

create table if not exists gaq.invalidations (
    data_pass_id   bigint not null,
    run_number     bigint not null,
    invalidated_at timestamptz not null default clock_timestamp(),
    cause          text not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create index if not exists invalidations_by_age on gaq.invalidations (invalidated_at, data_pass_id, run_number);
create index if not exists invalidations_by_pair on gaq.invalidations (data_pass_id, run_number, invalidated_at);

create table if not exists gaq.wide_invalidations (
    id             bigint primary key default hashtextextended(gen_random_uuid()::text, 0),
    kind           text not null check (kind in ('run', 'flag type', 'flag', 'everything',
                                                 'flag in run', 'flag in data pass')),
    key            bigint,
    invalidated_at timestamptz not null default clock_timestamp(),
    cause          text not null,
    place          bigint
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index if not exists wide_invalidations_by_age on gaq.wide_invalidations (invalidated_at);

alter table gaq.invalidations replica identity full;

create table if not exists gaq.seeding (only_row bool primary key default true check (only_row));
insert into gaq.seeding default values on conflict do nothing;

create table if not exists gaq.failures (
    data_pass_id    bigint not null,
    run_number      bigint not null,
    error           text not null,
    sqlstate        text not null,
    attempts        int not null,
    first_failed_at timestamptz not null,
    last_failed_at  timestamptz not null,
    next_try_at     timestamptz not null,
    primary key (data_pass_id, run_number)
);

create table if not exists gaq.paused (
    only_row  bool primary key default true check (only_row),
    paused_at timestamptz not null default clock_timestamp(),
    paused_by text not null,
    reason    text
);

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
    swept_found     int,
    found_by_sweeps bigint not null default 0
);

create or replace function gaq.bell_key() returns bigint
language sql immutable parallel safe
return 7449359913134156908;

create or replace view gaq.bell_holders as
select pid, mode = 'ExclusiveLock' as exclusively
from pg_catalog.pg_locks
where locktype = 'advisory' and granted and objsubid = 1
  and database = (select oid from pg_catalog.pg_database where datname = current_database())
  and (classid::bigint << 32 | objid::bigint) = gaq.bell_key();

create or replace function gaq.batch_key() returns bigint
language sql immutable parallel safe
return 7449359913487135339;

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

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace function gaq.use_sources(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    used text;
begin
    if to_regprocedure('gaq.sources()') is not null then
        execute 'select gaq.sources()' into used;
    elsif to_regclass('gaq.source_pairs') is not null then
        used := 'reference';
    end if;
    if used <> name then
        raise exception 'this installation was made with the sources %, and not %', quote_literal(used), quote_literal(name)
            using hint = 'leave --sources out to keep to them; gaq-listen uninstall comes before others';
    end if;
    execute format('create or replace function gaq.sources() returns text '
                   'language sql immutable parallel safe return %L', name);
end
$$;

create or replace function gaq.utc(timestamptz) returns timestamptz
language sql immutable parallel safe
return $1;

create or replace function gaq.utc(timestamp) returns timestamptz
language sql immutable parallel safe
return $1 at time zone 'UTC';

create or replace function gaq.mark_gaq_detectors() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct on (data_pass_id, run_number) data_pass_id, run_number, 'detectors' from new_rows;
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct on (data_pass_id, run_number) data_pass_id, run_number, 'detectors' from old_rows;
    else
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        with before as (select data_pass_id, run_number, detector_id from old_rows),
             after as (select data_pass_id, run_number, detector_id from new_rows)
        select distinct data_pass_id, run_number, 'detectors'
        from ((table before except table after) union all (table after except table before)) changed;
    end if;
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace function gaq.mark_data_pass_runs() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select data_pass_id, run_number, 'data pass' from new_rows;
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select data_pass_id, run_number, 'data pass' from old_rows;
    else
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        with before as (select data_pass_id, run_number from old_rows),
             after as (select data_pass_id, run_number from new_rows)
        select data_pass_id, run_number, 'data pass'
        from ((table before except table after) union all (table after except table before)) changed;
    end if;
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace function gaq.mark_qc_flag_verifications() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select distinct on (flag_id) 'flag', flag_id, 'verification' from new_rows;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select distinct on (flag_id) 'flag', flag_id, 'verification' from old_rows;
    else
        insert into gaq.wide_invalidations (kind, key, cause)
        with before as (select flag_id from old_rows),
             after as (select flag_id from new_rows)
        select distinct 'flag', flag_id, 'verification'
        from ((table before except all table after) union all (table after except all table before)) changed;
    end if;
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace function gaq.mark_everything() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    insert into gaq.wide_invalidations (kind, cause) values ('everything', 'truncate');
    if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;

revoke all on all routines in schema gaq from public;
grant execute on function gaq.utc(timestamptz), gaq.utc(timestamp) to gaq_reader;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

set role gaq_owner;
do $$ begin perform gaq.use_sources('reference'); end $$;
reset role;

do $$ begin execute format('grant usage on schema %I to gaq_owner', current_schema()); end $$;
grant select on runs, detectors, data_passes, data_pass_runs, qc_flag_types, qc_flags, qc_flag_verifications, gaq_detectors
    to gaq_owner;

set role gaq_owner;

create or replace view gaq.source_runs as
select run_number, qc_time_start, qc_time_end from runs;

create or replace view gaq.source_pairs as
select data_pass_id, run_number from data_pass_runs;

create or replace view gaq.source_gaq_detectors as
select data_pass_id, run_number, detector_id from gaq_detectors;

create or replace view gaq.source_flags as
select id, data_pass_id, run_number, detector_id, flag_type_id, "from" as starts, "to" as ends, created_at
from qc_flags
where data_pass_id is not null and not deleted;

create or replace view gaq.source_flag_types as
select id, name, bad, mc_reproducible from qc_flag_types;

create or replace view gaq.source_verifications as
select flag_id from qc_flag_verifications;

create or replace view gaq.source_data_passes as
select id, name from data_passes;

create or replace view gaq.source_detectors as
select id, name from detectors;

create or replace view gaq.source_flag_details as
select id, created_by, comment from qc_flags;

create or replace view gaq.source_invalidations as
select null::bigint as wide_id, null::bigint as data_pass_id, null::bigint as run_number,
       null::timestamptz as invalidated_at, null::text as cause
where false;

create or replace function gaq.mark_qc_flags() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct on (data_pass_id, run_number) data_pass_id, run_number, 'flag'
        from new_rows where data_pass_id is not null and not deleted;
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct on (data_pass_id, run_number) data_pass_id, run_number, 'flag'
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
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;

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
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;

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
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;

revoke all on all routines in schema gaq from public;
reset role;

create or replace trigger gaq_insert after insert on qc_flags
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flags();
create or replace trigger gaq_update after update on qc_flags
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flags();
create or replace trigger gaq_delete after delete on qc_flags
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flags();
create or replace trigger gaq_truncate after truncate on qc_flags
    for each statement execute function gaq.mark_everything();
alter table qc_flags
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

create or replace trigger gaq_insert after insert on gaq_detectors
    referencing new table as new_rows for each statement execute function gaq.mark_gaq_detectors();
create or replace trigger gaq_update after update on gaq_detectors
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_gaq_detectors();
create or replace trigger gaq_delete after delete on gaq_detectors
    referencing old table as old_rows for each statement execute function gaq.mark_gaq_detectors();
create or replace trigger gaq_truncate after truncate on gaq_detectors
    for each statement execute function gaq.mark_everything();
alter table gaq_detectors
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

create or replace trigger gaq_insert after insert on data_pass_runs
    referencing new table as new_rows for each statement execute function gaq.mark_data_pass_runs();
create or replace trigger gaq_update after update on data_pass_runs
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_data_pass_runs();
create or replace trigger gaq_delete after delete on data_pass_runs
    referencing old table as old_rows for each statement execute function gaq.mark_data_pass_runs();
create or replace trigger gaq_truncate after truncate on data_pass_runs
    for each statement execute function gaq.mark_everything();
alter table data_pass_runs
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

create or replace trigger gaq_insert after insert on qc_flag_verifications
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flag_verifications();
create or replace trigger gaq_update after update on qc_flag_verifications
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flag_verifications();
create or replace trigger gaq_delete after delete on qc_flag_verifications
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flag_verifications();
create or replace trigger gaq_truncate after truncate on qc_flag_verifications
    for each statement execute function gaq.mark_everything();
alter table qc_flag_verifications
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

create or replace trigger gaq_insert after insert on runs
    referencing new table as new_rows for each statement execute function gaq.mark_runs();
create or replace trigger gaq_update after update on runs
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_runs();
create or replace trigger gaq_delete after delete on runs
    referencing old table as old_rows for each statement execute function gaq.mark_runs();
create or replace trigger gaq_truncate after truncate on runs
    for each statement execute function gaq.mark_everything();
alter table runs
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

create or replace trigger gaq_insert after insert on qc_flag_types
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flag_types();
create or replace trigger gaq_update after update on qc_flag_types
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flag_types();
create or replace trigger gaq_delete after delete on qc_flag_types
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flag_types();
create or replace trigger gaq_truncate after truncate on qc_flag_types
    for each statement execute function gaq.mark_everything();
alter table qc_flag_types
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace view gaq.expanded_invalidations as
select w.id as wide_id, p.data_pass_id, p.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join gaq.source_pairs p on p.run_number = w.key
where w.kind = 'run'
union all
select w.id, f.data_pass_id, f.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join gaq.source_flags f on f.flag_type_id = w.key
join gaq.source_gaq_detectors d using (data_pass_id, run_number, detector_id)
where w.kind = 'flag type'
union all
select w.id, f.data_pass_id, f.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join gaq.source_flags f on f.id = w.key
join gaq.source_gaq_detectors d using (data_pass_id, run_number, detector_id)
where w.kind = 'flag'
union all
select wide_id, data_pass_id, run_number, invalidated_at, cause from gaq.source_invalidations
union all
select w.id, p.data_pass_id, p.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
cross join gaq.source_pairs p
where w.kind = 'everything'
union all
select w.id, s.data_pass_id, s.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
cross join gaq.summaries s
where w.kind = 'everything';

create or replace function gaq.expand(max_marks int default 1000) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    ids bigint[];
begin
    select array_agg(id) into ids
    from (select id from gaq.wide_invalidations order by invalidated_at limit max_marks for update skip locked) w;
    if ids is null then
        return 0;
    end if;
    if cardinality(ids) >= max_marks then
        ids := ids || array(
            select id
            from (select id from gaq.wide_invalidations
                  order by invalidated_at desc limit max_marks / 8 for update skip locked) w
            where id <> all (ids));
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

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace function gaq.microseconds(interval) returns double precision
language sql immutable parallel safe
return round(date_part('epoch', $1) * 1e6);

create or replace aggregate gaq.union_of(tstzmultirange) (sfunc = multirange_union, stype = tstzmultirange, initcond = '{}');

create or replace function gaq.refuse(reason text) returns int
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '%', reason;
end
$$;

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
set row_security = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set jit = off
as $$
#variable_conflict use_column
begin
return query

with pair as materialized (
    select given.pair, given.data_pass_id, given.run_number, run.w_start, run.w_end,
           listed.detectors, coalesce(cardinality(listed.detectors), 0) as n
    from (
        select row_number() over ()::int as pair, u.data_pass_id, u.run_number
        from (select distinct * from unnest(data_pass_ids, run_numbers)) u (data_pass_id, run_number)
    ) given
    left join (
        select run_number, qc_time_start as w_start, qc_time_end as w_end
        from gaq.source_runs
        where isfinite(qc_time_start) and isfinite(qc_time_end) and qc_time_start < qc_time_end
    ) run on run.run_number = given.run_number
    cross join lateral (
        select array_agg(distinct d.detector_id) as detectors
        from (
            select * from gaq.source_gaq_detectors d
            where d.data_pass_id = given.data_pass_id and d.run_number = given.run_number offset 0
        ) d
    ) listed
),

flag as (
    select p.pair, f.detector_id, f.id, f.flag_type_id, f.created_at,
           tstzmultirange(tstzrange(f.starts, f.ends)) as span, f.starts = p.w_start and f.ends = p.w_end as whole
    from pair p
    cross join lateral (
        select f.id, f.detector_id, f.flag_type_id, f.created_at,
               greatest(f.starts, p.w_start) as starts, least(f.ends, p.w_end) as ends
        from gaq.source_flags f
        where f.data_pass_id = p.data_pass_id and f.run_number = p.run_number offset 0
    ) f
    where p.w_start is not null and f.detector_id = any (p.detectors) and f.starts < f.ends
    offset 0
),

effective as (
    select pair, detector_id, id, flag_type_id, whole, span - gaq.union_of(span) over later as periods
    from flag
    window later as (partition by pair, detector_id order by created_at desc, id desc
                     rows between unbounded preceding and 1 preceding)
),

flagged as materialized (
    select pair,
           gaq.union_of(periods) filter (where flag_type_id = any (array(
               select id from gaq.source_flag_types where bad and mc_reproducible is not true))) as bad,
           gaq.union_of(periods) filter (where flag_type_id = any (array(
               select id from gaq.source_flag_types where mc_reproducible))) as mc_reproducible,
           array_agg(distinct detector_id) filter (where whole) as complete,
           array_agg(detector_id) as detector_ids,
           array_agg(periods) as periods,
           array_agg(id) filter (where not isempty(periods)) as ids
    from effective
    group by pair
),

missing as (
    select pair, count(*) as verifications
    from (select pair, unnest(ids) as id from flagged) counted
    where id not in (
        select flag_id from gaq.source_verifications where flag_id = any (array(select unnest(ids) from flagged)))
    group by pair
),

incomplete as materialized (
    select p.pair, p.w_start, p.w_end, p.detectors, coalesce(f.complete, '{}') as complete, f.detector_ids, f.periods
    from pair p
    left join flagged f using (pair)
    where p.w_start is not null and p.n > coalesce(cardinality(f.complete), 0)
),
gap as materialized (
    select i.pair, unnest(tstzmultirange(tstzrange(i.w_start, i.w_end)) - coalesce(c.covered, '{}')) as gap
    from incomplete i
    cross join unnest(i.detectors) d (detector_id)
    left join (
        select pair, detector_id, range_agg(period) as covered
        from (
            select i.pair, f.detector_id, unnest(f.periods) as period
            from incomplete i
            cross join unnest(i.detector_ids, i.periods) f (detector_id, periods)
            where f.detector_id <> all (i.complete)
        ) p
        group by pair, detector_id
    ) c using (pair, detector_id)
    where (d.detector_id = any (i.complete)) is not true
),

cut as (
    select pair, array_agg(distinct at order by at) as cuts
    from (
        select i.pair, lower(unnest(f.periods)) as at from incomplete i cross join unnest(i.periods) f (periods)
        union all
        select pair, lower(gap) from gap
        union all
        select pair, w_end from incomplete
    ) bound
    group by pair
),
undefined as (
    select pair, range_agg(gap) as gaps,
           sum(width_bucket(upper(gap), cuts) - width_bucket(lower(gap), cuts)) as periods
    from gap
    join cut using (pair)
    group by pair
)

select data_pass_id, run_number,
       gaq.microseconds(bad) / length,
       gaq.microseconds(whole - gaps - bad - mc_reproducible) / length,
       gaq.microseconds(mc_reproducible) / length,
       case when length is not null then missing end,
       case when length is not null then undefined end,
       length is null
from (
    select data_pass_id, run_number, missing, undefined, whole, length,
           coalesce((select sum(upper(r) - lower(r)) from (select unnest(bad - gaps) as r) r), '0') as bad,
           coalesce((select sum(upper(r) - lower(r)) from (select unnest(mc_reproducible - bad - gaps) as r) r), '0')
               as mc_reproducible,
           coalesce((select sum(upper(r) - lower(r)) from (select unnest(gaps) as r) r), '0') as gaps
    from (
        select p.data_pass_id, p.run_number,
               coalesce(f.bad, '{}') as bad, coalesce(f.mc_reproducible, '{}') as mc_reproducible,
               coalesce(u.gaps, '{}') as gaps, coalesce(u.periods, 0)::int as undefined,
               coalesce(m.verifications, 0)::int as missing, p.w_end - p.w_start as whole,
               case when p.n > 1023
                    then gaq.refuse(format('run %s in data pass %s has %s GAQ detectors: at most 1023 can be counted',
                                           p.run_number, p.data_pass_id, p.n))
                    when p.n > 0 and (f.pair is not null or exists (
                        select from gaq.source_flags other
                        where other.data_pass_id = p.data_pass_id and other.run_number = p.run_number offset 0))
                    then gaq.microseconds(p.w_end - p.w_start) end as length
        from pair p
        left join flagged f using (pair)
        left join undefined u using (pair)
        left join missing m using (pair)
        offset 0
    ) kinds
    offset 0
) lengths;

end
$$;

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace function gaq.compute_apart(data_pass_ids bigint[], run_numbers bigint[])
returns table (
    data_pass_id bigint,
    run_number bigint,
    bad_run_coverage double precision,
    explicitly_not_bad_run_coverage double precision,
    mc_reproducible_coverage double precision,
    missing_verifications_count int,
    undefined_quality_periods_count int,
    not_computable bool,
    error text,
    state text
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    half int := cardinality(data_pass_ids) / 2;
    said text;
begin
    return query select c.*, null::text, null::text from gaq.compute(data_pass_ids, run_numbers) c;
exception when others then
    if left(sqlstate, 2) in ('40', '53', '55', '57', '58') then
        raise;
    end if;
    if half = 0 or left(sqlstate, 2) = '42' then
        said := sqlerrm;
        return query
        select u.data_pass_id, u.run_number, null::double precision, null::double precision, null::double precision,
               null::int, null::int, null::bool, said, sqlstate
        from unnest(data_pass_ids, run_numbers) u (data_pass_id, run_number);
    else
        return query select * from gaq.compute_apart(data_pass_ids[:half], run_numbers[:half]);
        return query select * from gaq.compute_apart(data_pass_ids[half + 1:], run_numbers[half + 1:]);
    end if;
end
$$;

create or replace function gaq.note_failures(data_pass_ids bigint[], run_numbers bigint[], errors text[], states text[])
returns table (data_pass_id bigint, run_number bigint, error text, attempts int, next_try double precision)
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    insert into gaq.failures as f (data_pass_id, run_number, error, sqlstate, attempts,
                                   first_failed_at, last_failed_at, next_try_at)
    select u.data_pass_id, u.run_number, u.error, u.state, 1,
           clock_timestamp(), clock_timestamp(), clock_timestamp() + interval '1 s' * (0.75 + random() / 2)
    from unnest(data_pass_ids, run_numbers, errors, states) u (data_pass_id, run_number, error, state)
    on conflict on constraint failures_pkey do update
    set error = excluded.error, sqlstate = excluded.sqlstate, attempts = f.attempts + 1,
        last_failed_at = excluded.last_failed_at,
        next_try_at = excluded.last_failed_at
                      + (excluded.next_try_at - excluded.last_failed_at) * least(300, 2 ^ least(f.attempts, 9))
    returning f.data_pass_id, f.run_number, f.error, f.attempts, date_part('epoch', f.next_try_at - f.last_failed_at);
end;

create or replace function gaq.fail(data_pass_id bigint, run_number bigint, error text, state text)
returns table (attempts int, next_try double precision)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    mark record;
begin
    perform from gaq.summaries s
    where s.data_pass_id = fail.data_pass_id and s.run_number = fail.run_number
    for no key update skip locked;
    if not found then
        return;
    end if;
    with folded as (
        delete from gaq.invalidations i
        where i.data_pass_id = fail.data_pass_id and i.run_number = fail.run_number
        returning i.invalidated_at, i.cause
    )
    select min(invalidated_at) as first_mark, string_agg(distinct cause, ', ' order by cause) as causes
    into mark
    from folded;
    if mark.first_mark is null then
        return;
    end if;
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    values (fail.data_pass_id, fail.run_number, mark.first_mark, mark.causes);
    return query
    select n.attempts, n.next_try
    from gaq.note_failures(array[fail.data_pass_id], array[fail.run_number], array[fail.error], array[fail.state]) n;
end
$$;

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace function gaq.due_at(
    first_mark timestamptz, last_mark timestamptz, refreshed timestamptz, quiet interval, max_wait interval
) returns timestamptz
language sql immutable parallel safe
return case when refreshed is null or refreshed + quiet <= first_mark then first_mark
            else least(last_mark + quiet, first_mark + max_wait) end;

create or replace function gaq.next_due(quiet interval default '0', max_wait interval default '0')
returns double precision
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select case
        when exists (select from gaq.wide_invalidations) then 0
        when exists (
            select from gaq.invalidations i
            where i.invalidated_at <= clock_timestamp() - max_wait
              and not exists (select from gaq.failures e
                              where e.data_pass_id = i.data_pass_id and e.run_number = i.run_number)) then 0
        else (
            select case when count(*) > 0
                        then greatest(0, date_part('epoch', min(case
                            when e.next_try_at is null
                                then gaq.due_at(first_mark, last_mark, s.updated_at, quiet, max_wait)
                            when marks > 1 or e.last_failed_at > clock_timestamp() then timestamptz 'epoch'
                            else e.next_try_at end) - clock_timestamp())) end
            from (
                select data_pass_id, run_number, min(invalidated_at) as first_mark, max(invalidated_at) as last_mark,
                       count(*) as marks
                from gaq.invalidations
                group by data_pass_id, run_number
            ) marked
            left join gaq.summaries s using (data_pass_id, run_number)
            left join gaq.failures e using (data_pass_id, run_number)
        )
    end;
end;

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace function gaq.refresh(
    max_pairs int default 100,
    quiet interval default '0',
    max_wait interval default '0',
    announce bool default true,
    worker text default session_user,
    only_data_pass_ids bigint[] default null,
    only_run_numbers bigint[] default null
)
returns table (
    data_pass_id bigint,
    data_pass text,
    run_number bigint,
    invalidated_at timestamptz,
    seconds_stale double precision,
    causes text,
    good_before double precision,
    good_after double precision,
    removed bool,
    error text,
    attempts int,
    next_try double precision
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
    expanded int;
    scanned int;
    looked_up int;
    found_marks bigint;
    passes bigint[];
    runs bigint[];
    since timestamptz[];
    why text[];
    newest record;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'gaq.refresh needs a READ COMMITTED transaction, this one is %',
                        upper(current_setting('transaction_isolation'))
            using hint = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED', errcode = 'invalid_transaction_state';
    end if;
    if max_pairs is null or max_pairs not between 1 and 100000 then
        raise exception 'max_pairs must be between 1 and 100000: they are refreshed in one transaction'
            using errcode = 'invalid_parameter_value';
    end if;
    scanned := greatest(4 * max_pairs, 1000);
    looked_up := greatest(10 * max_pairs, 1000);

    perform pg_try_advisory_xact_lock_shared(gaq.batch_key());
    if exists (select from gaq.paused) then
        return;
    end if;

    expanded := gaq.expand(looked_up);
    loop
        select coalesce(sum(marks), 0), array_agg(data_pass_id order by first_mark),
               array_agg(run_number order by first_mark), array_agg(first_mark order by first_mark)
        into found_marks, passes, runs, since
        from (
            select data_pass_id, run_number, min(invalidated_at) as first_mark, count(*) as marks
            from (
                select data_pass_id, run_number, invalidated_at
                from gaq.invalidations
                where only_data_pass_ids is null
                   or (data_pass_id, run_number) in (select * from unnest(only_data_pass_ids, only_run_numbers))
                order by invalidated_at
                limit scanned
            ) oldest
            group by data_pass_id, run_number
        ) marked;

        if found_marks >= scanned and only_data_pass_ids is null then
            select array_agg(data_pass_id) as passes, array_agg(run_number) as runs, array_agg(first_mark) as since
            into newest
            from (
                select data_pass_id, run_number,
                       (select min(i.invalidated_at) from gaq.invalidations i
                        where i.data_pass_id = last.data_pass_id and i.run_number = last.run_number) as first_mark
                from (
                    select data_pass_id, run_number from gaq.invalidations order by invalidated_at desc limit max_pairs / 8
                ) last
                where (data_pass_id, run_number) not in (select * from unnest(passes, runs))
                group by data_pass_id, run_number
            ) marked;
            passes := newest.passes || passes;
            runs := newest.runs || runs;
            since := newest.since || since;
        end if;

        if exists (select from unnest(passes, runs) m (data_pass_id, run_number)
                   where not exists (select from gaq.summaries s
                                     where s.data_pass_id = m.data_pass_id and s.run_number = m.run_number offset 0)) then
            perform from gaq.seeding for update skip locked;
            if found then
                insert into gaq.summaries (data_pass_id, run_number)
                select data_pass_id, run_number
                from unnest(passes, runs) m (data_pass_id, run_number)
                where not exists (select from gaq.summaries s
                                  where s.data_pass_id = m.data_pass_id and s.run_number = m.run_number offset 0)
                  and exists (select from gaq.invalidations i
                              where i.data_pass_id = m.data_pass_id and i.run_number = m.run_number offset 0)
                on conflict do nothing;
            end if;
        end if;

        select array_agg(data_pass_id), array_agg(run_number)
        into passes, runs
        from (
            select s.data_pass_id, s.run_number
            from (
                select * from unnest(passes, runs, since) with ordinality u (data_pass_id, run_number, first_mark, place)
                order by place
            ) m
            cross join lateral (
                select s.data_pass_id, s.run_number
                from gaq.summaries s
                left join gaq.failures e using (data_pass_id, run_number)
                where s.data_pass_id = m.data_pass_id and s.run_number = m.run_number
                  and (only_data_pass_ids is not null
                       or ((m.first_mark <= at - max_wait
                            or m.first_mark > at
                            or gaq.due_at(m.first_mark,
                                          (select max(l.invalidated_at) from gaq.invalidations l
                                           where l.data_pass_id = s.data_pass_id and l.run_number = s.run_number),
                                          s.updated_at, quiet, max_wait) <= at)
                           and (e.next_try_at is null or e.next_try_at <= at or e.last_failed_at > at
                                or (select count(*) > 1 from gaq.invalidations l
                                    where l.data_pass_id = s.data_pass_id and l.run_number = s.run_number))))
                for no key update of s skip locked
            ) s
            limit max_pairs
        ) claimed;
        exit when cardinality(passes) >= max_pairs;
        if found_marks >= scanned then
            scanned := scanned * 8;
        elsif passes is null and expanded > 0 then
            expanded := gaq.expand(looked_up);
        else
            exit;
        end if;
    end loop;
    if passes is null then
        return;
    end if;

    with folded as (
        delete from gaq.invalidations i
        where i.ctid = any (array(
            select m.mark
            from unnest(passes, runs) claimed (data_pass_id, run_number),
            lateral (select i.ctid as mark from gaq.invalidations i
                     where i.data_pass_id = claimed.data_pass_id and i.run_number = claimed.run_number offset 0) m))
        returning i.data_pass_id, i.run_number, i.invalidated_at, i.cause
    )
    select array_agg(data_pass_id), array_agg(run_number), array_agg(first_mark), array_agg(causes)
    into passes, runs, since, why
    from (
        select data_pass_id, run_number,
               min(invalidated_at) as first_mark, string_agg(distinct cause, ', ' order by cause) as causes
        from folded
        group by data_pass_id, run_number
    ) pair;
    if passes is null then
        return;
    end if;

    return query
    with claimed as (
        select u.*, s.explicitly_not_bad_run_coverage as good
        from unnest(passes, runs, since, why) u (data_pass_id, run_number, first_mark, causes)
        cross join lateral (
            select s.explicitly_not_bad_run_coverage from gaq.summaries s
            where s.data_pass_id = u.data_pass_id and s.run_number = u.run_number offset 0
        ) s
    ), present as materialized (
        select c.data_pass_id, c.run_number
        from claimed c
        where exists (select from gaq.source_pairs p
                      where p.data_pass_id = c.data_pass_id and p.run_number = c.run_number offset 0)
    ), gone as (
        delete from gaq.summaries s
        where s.ctid = any (array(
            select left_over.row
            from claimed c,
            lateral (select s.ctid as row from gaq.summaries s
                     where s.data_pass_id = c.data_pass_id and s.run_number = c.run_number offset 0) left_over
            where not exists (select from present p where p.data_pass_id = c.data_pass_id and p.run_number = c.run_number)))
    ), computed as materialized (
        select f.* from gaq.compute_apart((select array_agg(data_pass_id) from present), (select array_agg(run_number) from present)) f
    ), stored as (
        insert into gaq.summaries (data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
                                   mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
                                   not_computable, updated_at, seconds_stale, refreshed_for, refreshed_by)
        select f.data_pass_id, f.run_number, f.bad_run_coverage, f.explicitly_not_bad_run_coverage,
               f.mc_reproducible_coverage, f.missing_verifications_count, f.undefined_quality_periods_count,
               f.not_computable, clock_timestamp(), date_part('epoch', clock_timestamp() - c.first_mark), c.causes, worker
        from computed f
        join claimed c using (data_pass_id, run_number)
        where f.error is null
        on conflict (data_pass_id, run_number) do update
        set bad_run_coverage = excluded.bad_run_coverage,
            explicitly_not_bad_run_coverage = excluded.explicitly_not_bad_run_coverage,
            mc_reproducible_coverage = excluded.mc_reproducible_coverage,
            missing_verifications_count = excluded.missing_verifications_count,
            undefined_quality_periods_count = excluded.undefined_quality_periods_count,
            not_computable = excluded.not_computable,
            updated_at = excluded.updated_at,
            seconds_stale = excluded.seconds_stale,
            refreshed_for = excluded.refreshed_for,
            refreshed_by = excluded.refreshed_by
    ), failing as materialized (
        select n.*
        from (
            select array_agg(data_pass_id) as passes, array_agg(run_number) as runs,
                   array_agg(error) as errors, array_agg(state) as states
            from computed
            where error is not null
            having count(*) > 0
        ) f
        cross join lateral gaq.note_failures(f.passes, f.runs, f.errors, f.states) n
    ), marked_again as (
        insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
        select c.data_pass_id, c.run_number, c.first_mark, c.causes
        from claimed c
        join failing using (data_pass_id, run_number)
    ), healed as (
        delete from gaq.failures e using claimed c
        where e.data_pass_id = c.data_pass_id and e.run_number = c.run_number
          and not exists (select from computed f
                          where f.data_pass_id = e.data_pass_id and f.run_number = e.run_number and f.error is not null)
    )
    select c.data_pass_id, named.name, c.run_number,
           c.first_mark, date_part('epoch', clock_timestamp() - c.first_mark), c.causes,
           c.good, f.explicitly_not_bad_run_coverage, f.data_pass_id is null,
           failing.error, failing.attempts, failing.next_try
    from claimed c
    left join computed f on f.data_pass_id = c.data_pass_id and f.run_number = c.run_number
    left join failing on failing.data_pass_id = c.data_pass_id and failing.run_number = c.run_number
    left join gaq.source_data_passes named on named.id = c.data_pass_id
    order by c.first_mark;

    if announce and pg_notification_queue_usage() < 0.5 then
        perform gaq.announce(array_agg(u.data_pass_id), array_agg(u.run_number))
        from unnest(passes, runs) u (data_pass_id, run_number)
        where not exists (select from gaq.failures e
                          where e.data_pass_id = u.data_pass_id and e.run_number = u.run_number);
    end if;
end
$$;

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

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace procedure gaq.drain(max_pairs int default 400)
language plpgsql
as $$
declare
    refreshed int;
    failing int;
begin
    loop
        select count(*) into refreshed from gaq.refresh(max_pairs);
        commit;
        exit when refreshed = 0;
    end loop;
    if exists (select from gaq.paused) then
        raise warning 'gaq-listen is paused: nothing is refreshed until gaq.resume()';
    end if;
    select count(*) into failing from gaq.failures;
    if failing > 0 then
        raise warning '% pairs cannot be computed: see gaq.failures', failing;
    end if;
end
$$;

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

set role gaq_owner;

create or replace view gaq.pending as
select distinct on (data_pass_id, run_number) data_pass_id, run_number, invalidated_at
from (
    (select distinct on (data_pass_id, run_number) data_pass_id, run_number, invalidated_at
     from gaq.invalidations
     order by data_pass_id, run_number, invalidated_at)
    union all
    select data_pass_id, run_number, invalidated_at from gaq.expanded_invalidations
) mark
order by data_pass_id, run_number, invalidated_at;

create or replace view gaq.current_summaries as
select data_pass_id,
       run_number,
       s.bad_run_coverage,
       s.explicitly_not_bad_run_coverage,
       s.mc_reproducible_coverage,
       s.missing_verifications_count,
       s.undefined_quality_periods_count,
       s.not_computable,
       p.invalidated_at,
       s.created_at,
       s.updated_at
from gaq.summaries s
full join gaq.pending p using (data_pass_id, run_number);

create or replace function gaq.request() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'UPDATE' then
        if to_jsonb(new) - array['invalidated_at', 'updated_at']
               is distinct from to_jsonb(old) - array['invalidated_at', 'updated_at']
           or new.updated_at is distinct from old.updated_at and new.invalidated_at is not distinct from old.invalidated_at
        then
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
    if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return new;
end
$$;

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

do $$
declare
    original regclass := to_regclass(format('%I.gaq_summaries', current_schema()));
    lacking text;
begin
    perform set_config('gaq.taken_over', '', false);
    if not exists (select from pg_class where oid = original and relkind in ('r', 'p')) then
        return;
    end if;
    select string_agg(wanted, ', ') into lacking
    from unnest(array['data_pass_id', 'run_number', 'bad_run_coverage', 'explicitly_not_bad_run_coverage',
                      'mc_reproducible_coverage', 'missing_verifications_count', 'undefined_quality_periods_count',
                      'not_computable', 'invalidated_at', 'created_at', 'updated_at']) wanted
    where not exists (select from pg_attribute where attrelid = original and attname = wanted and not attisdropped);
    if lacking is not null then
        raise exception 'there is a table gaq_summaries, and it cannot be taken over: it has no column %', lacking
            using hint = 'rename it';
    end if;

    lock table gaq_summaries in access exclusive mode;
    grant select on gaq_summaries to gaq_owner;
    set local role gaq_owner;
    create view gaq.original_summaries as
    select data_pass_id::bigint, run_number::bigint,
           bad_run_coverage::double precision,
           explicitly_not_bad_run_coverage::double precision,
           mc_reproducible_coverage::double precision,
           missing_verifications_count::int,
           undefined_quality_periods_count::int,
           case when num_nonnulls(bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage) = 3
                then coalesce(not_computable::int <> 0, false)
                else nullif(not_computable::int <> 0, false) end as not_computable,
           gaq.utc(invalidated_at) as invalidated_at,
           gaq.utc(created_at) as created_at,
           gaq.utc(updated_at) as updated_at
    from gaq_summaries;

    insert into gaq.summaries (data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
                               mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
                               not_computable, created_at, updated_at)
    select data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
           mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
           not_computable, coalesce(created_at, now()), case when not_computable is not null then coalesce(updated_at, now()) end
    from gaq.original_summaries
    on conflict do nothing;
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    select data_pass_id, run_number, coalesce(invalidated_at, clock_timestamp()), 'taken over'
    from gaq.original_summaries o
    where invalidated_at is not null
       or not exists (select from gaq.source_pairs p
                      where p.data_pass_id = o.data_pass_id and p.run_number = o.run_number);
    reset role;

    alter table gaq_summaries rename to gaq_summaries_original;
    perform set_config('gaq.taken_over', original::oid::text, false);
end
$$;
reset role;

create or replace view gaq_summaries as
select data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,
       missing_verifications_count, undefined_quality_periods_count, not_computable, invalidated_at, created_at, updated_at
from gaq.current_summaries;

comment on view gaq_summaries is
    'Global Aggregated Quality of each data pass and run; stale while invalidated_at is not null. '
    'To ask for recomputation: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...';

create or replace trigger gaq_request instead of insert or update on gaq_summaries
    for each row execute function gaq.request();

do $$ begin
    execute format('grant create on schema %I to gaq_owner', current_schema());
    alter view gaq_summaries owner to gaq_owner;
    execute format('revoke create on schema %I from gaq_owner', current_schema());
    execute format('grant usage on schema %I to gaq_reader', current_schema());
end $$;
grant select on gaq_summaries to gaq_reader;

do $$
declare
    allowed record;
begin
    for allowed in
        select case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as role,
               privilege_type || coalesce(' (' || quote_ident(attname) || ')', '') as privilege
        from (
            select relacl as acl, null::name as attname from pg_class
            where oid::text = current_setting('gaq.taken_over') and relacl is not null
            union all
            select acldefault('r', relowner), null from pg_class where oid::text = current_setting('gaq.taken_over')
            union all
            select attacl, attname from pg_attribute where attrelid::text = current_setting('gaq.taken_over')
        ) given
        cross join lateral aclexplode(acl)
        where privilege_type in ('SELECT', 'INSERT', 'UPDATE') and grantee is distinct from to_regrole('gaq_owner')
    loop
        execute format('grant %s on gaq_summaries to %s', allowed.privilege, allowed.role);
    end loop;
end
$$;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

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

create or replace view gaq.known_pairs as
select distinct data_pass_id, run_number
from (
    select data_pass_id, run_number from gaq.source_pairs
    union all
    select data_pass_id, run_number from gaq.summaries
) known;

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
    if marked > 0 and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return marked;
end
$$;

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

create or replace function gaq.differences(data_pass_ids bigint[], run_numbers bigint[])
returns table (
    data_pass_id bigint,
    data_pass text,
    run_number bigint,
    differs text,
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

create or replace function gaq.is_there(backend_pid int) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    select exists (select from pg_stat_activity a
                   where a.pid = is_there.backend_pid and a.datname = current_database()
                     and a.application_name like 'gaq-listen%');
end;

create or replace function gaq.enroll(name text, host text, pid int) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '500ms'
as $$
declare
    other gaq.workers;
begin
    delete from gaq.workers w
    where w.seen_at < clock_timestamp() - interval '1 day' and not gaq.is_there(w.backend_pid);
    select * into other from gaq.workers w where w.name = enroll.name for update;
    if (other.host, other.pid) is distinct from (enroll.host, enroll.pid) and gaq.is_there(other.backend_pid) then
        raise exception 'another worker is called %: process % on %', other.name, other.pid, other.host
            using hint = 'give each worker a --name of its own', errcode = 'unique_violation';
    end if;
    insert into gaq.workers as w (name, host, pid, backend_pid, state)
    values (enroll.name, enroll.host, enroll.pid, pg_backend_pid(), 'starting')
    on conflict on constraint workers_pkey do update
    set host = excluded.host, pid = excluded.pid, backend_pid = excluded.backend_pid, state = excluded.state,
        started_at = case when (w.host, w.pid) = (excluded.host, excluded.pid) then w.started_at else excluded.started_at end,
        seen_at = excluded.seen_at, batches = 0, pairs = 0, swept_at = null, swept_found = null, found_by_sweeps = 0;
end
$$;

create or replace function gaq.report(
    name text, state text, batches bigint, pairs bigint, found_by_sweeps bigint, swept_found int default null
) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
    update gaq.workers w
    set state = report.state, seen_at = clock_timestamp(), batches = report.batches, pairs = report.pairs,
        found_by_sweeps = report.found_by_sweeps,
        swept_at = case when report.swept_found is null then w.swept_at else clock_timestamp() end,
        swept_found = coalesce(report.swept_found, w.swept_found)
    where w.name = report.name and w.backend_pid = pg_backend_pid();
end;

create or replace function gaq.leave(name text) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
    delete from gaq.workers w where w.name = leave.name and w.backend_pid = pg_backend_pid();
end;

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

set role gaq_owner;

create or replace function gaq.backlog(out stale_pairs bigint, out stale_since timestamptz)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    wide bigint := (select count(*) from (select from gaq.wide_invalidations limit 1001) w);
begin
    if wide <= 1000 then
        select count(*), min(invalidated_at) into stale_pairs, stale_since from gaq.pending;
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
       pending.stale_since,
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

create or replace function gaq.freshness(
    objective interval default '1 s', lately interval default '5 min',
    out refreshed bigint, out p50_seconds double precision, out p99_seconds double precision,
    out within_objective double precision
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

revoke all on all routines in schema gaq from public;
grant execute on function gaq.freshness(interval, interval), gaq.backlog() to gaq_reader;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace view gaq.marks as
select data_pass_id, run_number, invalidated_at, cause from gaq.invalidations
union all
select data_pass_id, run_number, invalidated_at, cause from gaq.expanded_invalidations;

create or replace function gaq.showable(timestamptz) returns timestamptz
language sql immutable parallel safe
return case when $1 between '0001-01-02 00:00Z' and '9999-12-30 00:00Z' then $1 end;

create or replace function gaq.explain_pair(data_pass_id bigint, run_number bigint)
returns table (
    in_data_pass bool,
    qc_time_start timestamptz,
    qc_time_end timestamptz,
    bad double precision,
    good double precision,
    mc_reproducible double precision,
    missing_verifications int,
    undefined_quality_periods int,
    not_computable bool,
    updated_at timestamptz,
    seconds_stale double precision,
    refreshed_for text,
    refreshed_by text
)
language sql stable security definer rows 1
set search_path = pg_catalog, pg_temp
set row_security = off
begin atomic
    select p.run_number is not null, gaq.showable(r.qc_time_start), gaq.showable(r.qc_time_end),
           s.bad_run_coverage, s.explicitly_not_bad_run_coverage, s.mc_reproducible_coverage,
           s.missing_verifications_count, s.undefined_quality_periods_count, s.not_computable,
           s.updated_at, s.seconds_stale, s.refreshed_for, s.refreshed_by
    from (values (explain_pair.data_pass_id, explain_pair.run_number)) given (data_pass_id, run_number)
    left join gaq.source_pairs p on p.data_pass_id = given.data_pass_id and p.run_number = given.run_number
    left join gaq.source_runs r on r.run_number = given.run_number
    left join gaq.summaries s on s.data_pass_id = given.data_pass_id and s.run_number = given.run_number
    where p.run_number is not null or s.run_number is not null;
end;

create or replace function gaq.explain_computed(data_pass_id bigint, run_number bigint)
returns table (
    bad double precision,
    good double precision,
    mc_reproducible double precision,
    missing_verifications int,
    undefined_quality_periods int,
    not_computable bool
)
language sql stable security definer rows 1
set search_path = pg_catalog, pg_temp
begin atomic
    select c.bad_run_coverage, c.explicitly_not_bad_run_coverage, c.mc_reproducible_coverage,
           c.missing_verifications_count, c.undefined_quality_periods_count, c.not_computable
    from gaq.compute(array[explain_computed.data_pass_id], array[explain_computed.run_number]) c;
end;

create or replace function gaq.explain_detectors(data_pass_id bigint, run_number bigint)
returns table (detector_id bigint, detector text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off
begin atomic
    select distinct d.detector_id, coalesce(n.name, '#' || d.detector_id)
    from gaq.source_gaq_detectors d
    left join gaq.source_detectors n on n.id = d.detector_id
    where d.data_pass_id = explain_detectors.data_pass_id and d.run_number = explain_detectors.run_number
    order by 2;
end;

create or replace function gaq.explain_flags(data_pass_id bigint, run_number bigint)
returns table (
    flag_id bigint,
    detector_id bigint,
    detector text,
    flag_type text,
    bad bool,
    mc_reproducible bool,
    starts timestamptz,
    ends timestamptz,
    created_at timestamptz,
    created_by text,
    comment text,
    verifications int,
    span tstzrange,
    effective tstzmultirange,
    hidden_by bigint[]
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off
begin atomic
    with flag as (
        select f.*,
               case when isfinite(r.qc_time_start) and isfinite(r.qc_time_end)
                         and greatest(f.starts, r.qc_time_start) < least(f.ends, r.qc_time_end)
                    then tstzrange(greatest(f.starts, r.qc_time_start), least(f.ends, r.qc_time_end))
                    else 'empty' end as span
        from gaq.source_flags f
        left join gaq.source_runs r on r.run_number = f.run_number
        where f.data_pass_id = explain_flags.data_pass_id and f.run_number = explain_flags.run_number
    )
    select f.id, f.detector_id, coalesce(n.name, '#' || f.detector_id), t.name, t.bad, t.mc_reproducible,
           gaq.showable(f.starts), gaq.showable(f.ends), gaq.showable(f.created_at), d.created_by, d.comment,
           (select count(*)::int from gaq.source_verifications v where v.flag_id = f.id),
           f.span,
           tstzmultirange(f.span) - coalesce(range_agg(f.span) over later, '{}'),
           array(select l.id from flag l
                 where l.detector_id = f.detector_id and (l.created_at, l.id) > (f.created_at, f.id) and l.span && f.span
                 order by l.created_at, l.id)
    from flag f
    join gaq.source_flag_types t on t.id = f.flag_type_id
    left join gaq.source_detectors n on n.id = f.detector_id
    left join gaq.source_flag_details d on d.id = f.id
    window later as (partition by f.detector_id order by f.created_at desc, f.id desc
                     rows between unbounded preceding and 1 preceding)
    order by 3, f.created_at desc, f.id desc;
end;

grant select on gaq.marks to gaq_reader;
revoke all on all routines in schema gaq from public;
grant execute on function gaq.showable(timestamptz), gaq.explain_pair(bigint, bigint), gaq.explain_computed(bigint, bigint),
    gaq.explain_detectors(bigint, bigint), gaq.explain_flags(bigint, bigint) to gaq_reader;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create table if not exists gaq.installation (
    only_row       bool primary key default true check (only_row),
    version        int not null,
    server_version int not null,
    sources        text not null,
    installed_by   text not null,
    installed_at   timestamptz not null
);

create table if not exists gaq.installed_objects (
    kind     text not null,
    name     text not null,
    checksum text not null,
    primary key (kind, name)
);

create or replace function gaq.objects() returns table (kind text, name text, owner text, checksum text)
language sql stable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO'
set intervalstyle = 'postgres'
begin atomic
    select 'function', format('gaq.%I(%s)', proname, pg_get_function_identity_arguments(oid)),
           pg_get_userbyid(proowner),
           md5(case when prokind = 'a'
                    then (select concat_ws(' ', aggtransfn, aggtranstype::regtype, agginitval) from pg_aggregate
                          where aggfnoid = pg_proc.oid)
                    else pg_get_functiondef(oid) end)
    from pg_proc
    where pronamespace = 'gaq'::regnamespace
    union all
    select 'view', oid::regclass::text, pg_get_userbyid(relowner), md5(pg_get_viewdef(oid))
    from pg_class
    where relkind = 'v' and (relnamespace = 'gaq'::regnamespace
                             or oid in (select tgrelid from pg_trigger where tgfoid = 'gaq.request()'::regprocedure))
    union all
    select 'table', c.oid::regclass::text, pg_get_userbyid(relowner),
           md5(concat_ws(' ', relpersistence, relreplident, reloptions, string_agg(
               concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid)),
               ', ' order by attnum)))
    from pg_class c
    join pg_attribute a on attrelid = c.oid and attnum > 0 and not attisdropped
    left join pg_attrdef on adrelid = c.oid and adnum = attnum
    where relkind = 'r' and relnamespace = 'gaq'::regnamespace
    group by c.oid, relowner, relpersistence, relreplident, reloptions
    union all
    select 'index', indexrelid::regclass::text, pg_get_userbyid(relowner),
           md5(concat_ws(' ', indisvalid, pg_get_indexdef(indexrelid)))
    from pg_index
    join pg_class on pg_class.oid = indexrelid
    where relnamespace = 'gaq'::regnamespace
    union all
    select 'trigger', format('%I on %s', tgname, tgrelid::regclass), pg_get_userbyid(relowner),
           md5(concat_ws(' ', tgenabled, pg_get_triggerdef(t.oid)))
    from pg_trigger t
    join pg_proc on pg_proc.oid = tgfoid
    join pg_class on pg_class.oid = tgrelid
    where pronamespace = 'gaq'::regnamespace and tgparentid = 0;
end;

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

grant usage on schema gaq to gaq_reader;
grant select on gaq.status, gaq.bell_holders, gaq.pending, gaq.current_summaries, gaq.source_data_passes,
    gaq.source_detectors to gaq_reader;
grant select on gaq.installation, gaq.installed_objects to gaq_reader;
grant select on gaq.failures, gaq.paused, gaq.workers, gaq.known_pairs to gaq_reader;
grant execute on function gaq.bell_key(), gaq.objects(), gaq.is_there(int), gaq.batches_in_flight(),
    gaq.differences(bigint[], bigint[]) to gaq_reader;

grant execute on function gaq.refresh(int, interval, interval, bool, text, bigint[], bigint[]),
    gaq.next_due(interval, interval), gaq.fail(bigint, bigint, text, text), gaq.ring(),
    gaq.enroll(text, text, int), gaq.report(text, text, bigint, bigint, bigint, int), gaq.leave(text),
    gaq.pause(text, text), gaq.resume(), gaq.recalculate(bigint[], bigint[], text),
    gaq.retry_failures(bigint[], bigint[])
    to gaq_worker;
grant execute on procedure gaq.drain(int) to gaq_worker;

reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

insert into gaq.invalidations (data_pass_id, run_number, cause)
select p.data_pass_id, p.run_number, 'installation'
from gaq.source_pairs p
where not exists (select from gaq.summaries s
                  where s.data_pass_id = p.data_pass_id and s.run_number = p.run_number and s.updated_at is not null)
  and not exists (select from gaq.invalidations i
                  where i.data_pass_id = p.data_pass_id and i.run_number = p.run_number);

do $$ begin
    if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
end $$;

delete from gaq.installed_objects;
insert into gaq.installed_objects (kind, name, checksum)
select kind, name, checksum from gaq.objects() order by kind, name;

insert into gaq.installation (version, server_version, sources, installed_by, installed_at)
values (3, current_setting('server_version_num')::int, gaq.sources(), session_user, now())
on conflict (only_row) do update
set version = excluded.version, server_version = excluded.server_version, sources = excluded.sources,
    installed_by = excluded.installed_by, installed_at = excluded.installed_at;

reset role;

-- What version 4 installed, without its comments.

do $$
declare
    wanted text := coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public');
    used text[];
begin
    if not exists (select from pg_catalog.pg_namespace where nspname = wanted) then
        raise exception 'there is no schema %', quote_ident(wanted)
            using errcode = 'invalid_schema_name',
                  hint = 'name the schema of the source tables: --source-schema, or the setting gaq.source_schema';
    end if;
    select array_agg(distinct nspname) into used
    from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc f on f.oid = tgfoid
    join pg_catalog.pg_class c on c.oid = tgrelid
    join pg_catalog.pg_namespace s on s.oid = c.relnamespace
    where f.pronamespace = to_regnamespace('gaq') and tgparentid = 0 and c.relkind in ('r', 'p')
      and not exists (select from pg_catalog.pg_inherits where inhrelid = c.oid);
    if wanted <> all (used) then
        raise exception 'what is installed has its source tables in schema %, not in %',
                        array_to_string(used, ', '), quote_ident(wanted)
            using hint = 'name that one: --source-schema, or the setting gaq.source_schema; '
                         'gaq-listen uninstall comes before another';
    end if;
end
$$;

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
                null;   -- another installation on this server was faster
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
    if to_regclass('gaq.summaries') is null then       -- nothing is installed, or the schema is somebody else's
        return;
    end if;
    if exists (select from pg_namespace where nspname = 'gaq' and nspowner <> 'gaq_owner'::regrole) then
        alter schema gaq owner to gaq_owner;
    end if;
    for thing in
        select case relkind when 'v' then 'view' when 'c' then 'type' else 'table' end as kind, oid::regclass as name
        from pg_class
        where relnamespace = 'gaq'::regnamespace and relkind in ('r', 'v', 'c') and relowner <> 'gaq_owner'::regrole
    loop
        execute format('alter %s %s owner to gaq_owner', thing.kind, thing.name);
    end loop;
    for thing in
        select oid::regprocedure as name
        from pg_proc where pronamespace = 'gaq'::regnamespace and proowner <> 'gaq_owner'::regrole
    loop
        execute format('alter routine %s owner to gaq_owner', thing.name);
    end loop;
end
$$;

set role gaq_owner;

do $$
begin
    if to_regnamespace('gaq') is null or to_regclass('gaq.installation') is not null then
        return;
    end if;
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

do $$
declare
    other regclass;
begin
    for other in
        select distinct attrelid::regclass
        from pg_attribute
        where attrelid in (to_regclass('gaq.source_data_passes'), to_regclass('gaq.source_detectors'),
                           to_regclass('gaq.source_flag_details'), to_regclass('gaq.source_flag_types'),
                           to_regclass('gaq.source_runs'))
          and (attname in ('name', 'created_by', 'comment') and atttypid <> 'text'::regtype
               or attname in ('qc_time_start', 'qc_time_end') and atttypid <> 'timestamptz'::regtype)
    loop
        execute format('drop view %s cascade', other);
    end loop;
end
$$;

do $$
declare
    blind bool;
begin
    if to_regprocedure('gaq.source_changes()') is not null and to_regclass('gaq.installation') is not null then
        execute 'select exists (select from gaq.source_changes())' into blind;
        if blind then
            insert into gaq.detached default values on conflict do nothing;
            insert into gaq.paused (paused_by, reason)
            values (session_user, 'detached; gaq-listen install attaches again') on conflict do nothing;
            insert into gaq.wide_invalidations (kind, cause) values ('everything', 'installation');
        end if;
    end if;
end
$$;

do $$
begin
    if to_regclass('gaq.workers') is not null then
        alter table gaq.workers add column if not exists doorbell_pid int;
        drop function if exists gaq.enroll(text, text, int);
    end if;
end
$$;

reset role;

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
    not_computable                  bool,               -- null until first computed
    created_at                      timestamptz not null default clock_timestamp(),
    updated_at                      timestamptz,        -- when last computed
    seconds_stale                   double precision,   -- how long it had been stale then
    refreshed_for                   text,               -- what had made it stale
    refreshed_by                    text,               -- the worker, or the role of whoever did it by hand
    primary key (data_pass_id, run_number)
) with (fillfactor = 70);                               -- room for HOT updates: no indexed column ever changes

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
    key            bigint,                              -- the run, type or flag; null for everything
    invalidated_at timestamptz not null default clock_timestamp(),
    cause          text not null,
    place          bigint                               -- of a flag in something: the run, or the data pass
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

create index if not exists wide_invalidations_by_age on gaq.wide_invalidations (invalidated_at);
create index if not exists wide_invalidations_by_key on gaq.wide_invalidations (kind, key, invalidated_at);
drop index if exists gaq.wide_invalidations_of_flags;       -- of an earlier version: the one above serves what it did

alter table gaq.invalidations replica identity full;

create table if not exists gaq.seeding (only_row bool primary key default true check (only_row));
insert into gaq.seeding default values on conflict do nothing;

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

create table if not exists gaq.paused (
    only_row  bool primary key default true check (only_row),
    paused_at timestamptz not null default clock_timestamp(),
    paused_by text not null,
    reason    text
);

create table if not exists gaq.detached (
    only_row bool primary key default true check (only_row),
    since    timestamptz not null default clock_timestamp()
);

create table if not exists gaq.granted (statement text primary key);

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

create or replace function gaq.bell_key() returns bigint
language sql immutable parallel safe
return 7449359913134156908;     -- the bytes of 'gaq_bell'

create or replace view gaq.bell_holders as
select pid, mode = 'ExclusiveLock' as exclusively
from pg_catalog.pg_locks
where locktype = 'advisory' and granted and objsubid = 1
  and database = (select oid from pg_catalog.pg_database where datname = current_database())
  and (classid::bigint << 32 | objid::bigint) = gaq.bell_key();

create or replace function gaq.batch_key() returns bigint
language sql immutable parallel safe
return 7449359913487135339;     -- the bytes of 'gaq_work'

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

create or replace function gaq.make_way() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    bound text;
    retyped bool := false;
begin
    if to_regclass('gaq.bindings') is not null and to_regclass('gaq.expanded_invalidations') is not null then
        execute 'select exists (
            select from gaq.bindings b
            join pg_namespace n on n.nspname = b.schema_name
            join pg_class c on c.relnamespace = n.oid and c.relname = b.table_name
            join pg_attribute a on a.attrelid = c.oid and a.attname = b.column_name and not a.attisdropped
            where format_type(a.atttypid, a.atttypmod) <> b.type)' into retyped;
    end if;
    if not retyped then
        return;
    end if;
    create or replace view gaq.expanded_invalidations as
    select w.id as wide_id, s.data_pass_id, s.run_number, w.invalidated_at, w.cause
    from gaq.wide_invalidations w
    cross join gaq.summaries s
    where w.kind = 'everything';
    for bound in
        select relname from pg_class where relnamespace = 'gaq'::regnamespace and relkind = 'v' and relname like 'source\_%'
    loop
        execute format('drop view gaq.%I cascade', bound);
    end loop;
end
$$;

create or replace function gaq.use_sources(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    used text;
begin
    if to_regprocedure('gaq.sources()') is not null then
        execute 'select gaq.sources()' into used;
    elsif to_regclass('gaq.source_pairs') is not null then
        used := 'reference';        -- when there was no other
    end if;
    if used <> name then
        raise exception 'this installation was made with the sources %, and not %', quote_literal(used), quote_literal(name)
            using hint = 'leave --sources out to keep to them; gaq-listen uninstall comes before others';
    end if;
    perform gaq.make_way();
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

create or replace function gaq.showable(timestamptz) returns timestamptz
language sql immutable parallel safe
return case when $1 between '0001-01-02 00:00Z' and '9999-12-30 00:00Z' then $1 end;

create or replace function gaq.unfit_columns(needs text) returns setof text
language sql stable
as $$
    with recursive needed as (
        select line[1] as source_table, line[2] as source_column, line[3] as kind
        from regexp_matches(needs, '(\w+)\.(\w+): ([a-z ]*[a-z])', 'g') line
    ), base as (
        select n.*, format_type(a.atttypid, a.atttypmod) as type, a.atttypid as base_type
        from needed n
        join pg_attribute a on a.attrelid = to_regclass(quote_ident(n.source_table))
                               and a.attname = n.source_column and not a.attisdropped
        union all
        select b.source_table, b.source_column, b.kind, b.type, t.typbasetype
        from base b
        join pg_type t on t.oid = b.base_type and t.typtype = 'd'
    )
    select format('column %s.%s has type %s, and gaq-listen needs %s', source_table, source_column, type, case kind
                  when 'whole number' then 'a whole number (smallint, int, bigint or numeric)'
                  when 'instant' then 'an instant (timestamptz or timestamp)'
                  else 'yes or no (boolean or a whole number)' end)
    from base
    where not exists (select from pg_type t where t.oid = base_type and t.typtype = 'd')
      and base_type <> all (case kind
          when 'whole number' then array['smallint', 'int', 'bigint', 'numeric']
          when 'instant' then array['timestamptz', 'timestamp']
          when 'yes or no' then array['bool', 'smallint', 'int', 'bigint', 'numeric', 'bit']
      end::regtype[])
    order by 1
$$;

create or replace function gaq.require_types(needs text) returns void
language plpgsql
as $$
declare
    unfit text;
begin
    select string_agg(u, '; ') into unfit from gaq.unfit_columns(needs) u;
    if unfit is not null then
        raise exception '%', unfit
            using errcode = 'datatype_mismatch',
                  hint = 'give the table a column of such a type, and let a sources file of your own read that one';
    end if;
end
$$;

do $$
declare
    wanted record;
begin
    for wanted in
        select * from (values
            ('a_run', 'run_number bigint, starts timestamptz, ends timestamptz'),
            ('a_pair', 'data_pass_id bigint, run_number bigint'),
            ('a_gaq_detector', 'data_pass_id bigint, run_number bigint, detector_id bigint'),
            ('a_flag', 'id bigint, data_pass_id bigint, run_number bigint, detector_id bigint, flag_type_id bigint, '
                       'starts timestamptz, ends timestamptz, created_at timestamptz, counts bool'),
            ('a_flag_link', 'flag_id bigint, data_pass_id bigint'),
            ('a_flag_type', 'id bigint, bad bool, mc_reproducible bool'),
            ('a_verification', 'flag_id bigint')) types (name, columns)
        where to_regtype(format('gaq.%I', name)) is null
    loop
        execute format('create type gaq.%I as (%s)', wanted.name, wanted.columns);
    end loop;
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

do $$
declare
    missing text;
begin
    for missing in
        select name
        from unnest(array['mark_gaq_detectors', 'mark_data_pass_runs', 'mark_qc_flag_verifications', 'mark_runs',
                          'mark_qc_flag_types']) name
        where to_regprocedure(format('gaq.%I()', name)) is null
    loop
        execute format('create function gaq.%I() returns trigger '
                       'language plpgsql security definer set search_path = pg_catalog, pg_temp as %L', missing,
                       (select prosrc from pg_proc where oid = 'gaq.mark_everything()'::regprocedure));
    end loop;
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

do $$ begin
    perform gaq.require_types('
        runs.run_number: whole number
        runs.qc_time_start: instant
        runs.qc_time_end: instant
        detectors.id: whole number
        data_passes.id: whole number
        data_pass_runs.data_pass_id: whole number
        data_pass_runs.run_number: whole number
        qc_flag_types.id: whole number
        qc_flag_types.bad: yes or no
        qc_flag_types.mc_reproducible: yes or no
        qc_flags.id: whole number
        qc_flags.data_pass_id: whole number
        qc_flags.run_number: whole number
        qc_flags.detector_id: whole number
        qc_flags.flag_type_id: whole number
        qc_flags.from: instant
        qc_flags.to: instant
        qc_flags.created_at: instant
        qc_flags.deleted: yes or no
        qc_flag_verifications.flag_id: whole number
        gaq_detectors.data_pass_id: whole number
        gaq_detectors.run_number: whole number
        gaq_detectors.detector_id: whole number
    ');
end $$;

create or replace view gaq.source_runs as
select run_number, gaq.utc(qc_time_start) as qc_time_start, gaq.utc(qc_time_end) as qc_time_end from runs;

create or replace view gaq.source_pairs as
select data_pass_id, run_number from data_pass_runs;

create or replace view gaq.source_gaq_detectors as
select data_pass_id, run_number, detector_id from gaq_detectors;

create or replace view gaq.source_flags as
select id, data_pass_id, run_number, detector_id, flag_type_id,
       gaq.utc("from") as starts, gaq.utc("to") as ends, gaq.utc(created_at) as created_at
from qc_flags
where data_pass_id is not null and deleted::int = 0;

create or replace view gaq.source_flag_pairs as
select id, data_pass_id, run_number, detector_id, flag_type_id from gaq.source_flags;

create or replace function gaq.source_flags_of(of_data_pass_id bigint, of_run_number bigint, on_detectors bigint[])
returns table (id bigint, detector_id bigint, flag_type_id bigint, starts timestamptz, ends timestamptz, created_at timestamptz)
language sql stable
begin atomic
    select f.id::bigint, f.detector_id::bigint, f.flag_type_id::bigint, f.starts, f.ends, f.created_at
    from (
        select * from gaq.source_flags where data_pass_id = of_data_pass_id and run_number = of_run_number offset 0
    ) f
    where f.detector_id = any (on_detectors);
end;

create or replace view gaq.source_flag_types as
select id, name::text, bad::int <> 0 as bad, mc_reproducible::int <> 0 as mc_reproducible from qc_flag_types;

create or replace view gaq.source_verifications as
select flag_id from qc_flag_verifications;

create or replace view gaq.source_data_passes as
select id, name::text from data_passes;

create or replace view gaq.source_detectors as
select id, name::text from detectors;

create or replace view gaq.source_outdated_periods as
select null::bigint as flag_id, null::bigint as data_pass_id, null::bigint as run_number where false;

create or replace view gaq.source_flag_details as
select id, created_by::text, comment::text from qc_flags;

create or replace view gaq.source_invalidations as
select null::bigint as wide_id, null::bigint as data_pass_id, null::bigint as run_number,
       null::timestamptz as invalidated_at, null::text as cause
where false;

create or replace function gaq.as_run(runs) returns gaq.a_run language sql immutable parallel safe
begin atomic
    select row(($1).run_number::bigint,
               gaq.utc(($1).qc_time_start),
               gaq.utc(($1).qc_time_end))::gaq.a_run;
end;

create or replace function gaq.as_pair(data_pass_runs) returns gaq.a_pair language sql immutable parallel safe
begin atomic
    select row(($1).data_pass_id::bigint,
               ($1).run_number::bigint)::gaq.a_pair;
end;

create or replace function gaq.as_gaq_detector(gaq_detectors) returns gaq.a_gaq_detector language sql immutable parallel safe
begin atomic
    select row(($1).data_pass_id::bigint,
               ($1).run_number::bigint,
               ($1).detector_id::bigint)::gaq.a_gaq_detector;
end;

create or replace function gaq.as_flag(qc_flags) returns gaq.a_flag language sql immutable parallel safe
begin atomic
    select row(($1).id::bigint,
               ($1).data_pass_id::bigint,
               ($1).run_number::bigint,
               ($1).detector_id::bigint,
               ($1).flag_type_id::bigint,
               gaq.utc(($1)."from"),
               gaq.utc(($1)."to"),
               gaq.utc(($1).created_at),
               ($1).data_pass_id is not null and ($1).run_number is not null and ($1).deleted::int = 0)::gaq.a_flag;
end;

create or replace function gaq.as_flag_type(qc_flag_types) returns gaq.a_flag_type language sql immutable parallel safe
begin atomic
    select row(($1).id::bigint,
               ($1).bad::int <> 0,
               ($1).mc_reproducible::int <> 0)::gaq.a_flag_type;
end;

create or replace function gaq.as_verification(qc_flag_verifications) returns gaq.a_verification language sql immutable parallel safe
begin atomic
    select row(($1).flag_id::bigint)::gaq.a_verification;
end;

create or replace function gaq.mark_qc_flags() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regproc('gaq.as_flag') is null then
        perform gaq.mark_unbound();
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct on (data_pass_id, run_number) data_pass_id, run_number, 'flag'
        from (select (gaq.as_flag(n)).* from new_rows n) flag where counts;
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct on (data_pass_id, run_number) data_pass_id, run_number, 'flag'
        from (select (gaq.as_flag(o)).* from old_rows o) flag where counts;
    else
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        with before as (
            select id, data_pass_id, run_number, detector_id, flag_type_id, starts, ends, created_at
            from (select (gaq.as_flag(o)).* from old_rows o) flag where counts
        ), after as (
            select id, data_pass_id, run_number, detector_id, flag_type_id, starts, ends, created_at
            from (select (gaq.as_flag(n)).* from new_rows n) flag where counts
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

do $$
declare
    lacking text;
begin
    select string_agg(format('gaq.%s(...)', wanted), ', ') into lacking
    from unnest(array['as_run', 'as_pair', 'as_gaq_detector', 'as_flag', 'as_flag_type', 'as_verification']) wanted
    where not exists (select from pg_proc where pronamespace = 'gaq'::regnamespace and proname = wanted);
    if lacking is not null then
        raise exception 'the sources file creates no function %', lacking
            using hint = 'it is one for an earlier version of gaq-listen; docs/dba.md says what a sources file contains';
    end if;
end
$$;

set role gaq_owner;

create or replace function gaq.mark_unbound() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into gaq.wide_invalidations (kind, cause) values ('everything', 'unbound');
    if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
end
$$;

create or replace function gaq.mark_gaq_detectors() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regproc('gaq.as_gaq_detector') is null then
        perform gaq.mark_unbound();
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct on (data_pass_id, run_number) data_pass_id, run_number, 'detectors'
        from (select (gaq.as_gaq_detector(n)).* from new_rows n) entry
        where data_pass_id is not null and run_number is not null;
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct on (data_pass_id, run_number) data_pass_id, run_number, 'detectors'
        from (select (gaq.as_gaq_detector(o)).* from old_rows o) entry
        where data_pass_id is not null and run_number is not null;
    else
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        with before as (select (gaq.as_gaq_detector(o)).* from old_rows o),
             after as (select (gaq.as_gaq_detector(n)).* from new_rows n)
        select distinct data_pass_id, run_number, 'detectors'
        from ((table before except table after) union all (table after except table before)) changed
        where data_pass_id is not null and run_number is not null;
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
    if to_regproc('gaq.as_pair') is null then
        perform gaq.mark_unbound();
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select data_pass_id, run_number, 'data pass'
        from (select (gaq.as_pair(n)).* from new_rows n) pair where data_pass_id is not null and run_number is not null;
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select data_pass_id, run_number, 'data pass'
        from (select (gaq.as_pair(o)).* from old_rows o) pair where data_pass_id is not null and run_number is not null;
    else
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        with before as (select (gaq.as_pair(o)).* from old_rows o),
             after as (select (gaq.as_pair(n)).* from new_rows n)
        select data_pass_id, run_number, 'data pass'
        from ((table before except table after) union all (table after except table before)) changed
        where data_pass_id is not null and run_number is not null;
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
    if to_regproc('gaq.as_verification') is null then
        perform gaq.mark_unbound();
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select distinct on (flag_id) 'flag', flag_id, 'verification'
        from (select (gaq.as_verification(n)).* from new_rows n) verification;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select distinct on (flag_id) 'flag', flag_id, 'verification'
        from (select (gaq.as_verification(o)).* from old_rows o) verification;
    else
        insert into gaq.wide_invalidations (kind, key, cause)
        with before as (select (gaq.as_verification(o)).* from old_rows o),
             after as (select (gaq.as_verification(n)).* from new_rows n)
        select distinct 'flag', flag_id, 'verification'
        from ((table before except all table after) union all (table after except all table before)) changed;
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
    if to_regproc('gaq.as_run') is null then
        perform gaq.mark_unbound();
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select 'run', run_number, 'run times'
        from (select (gaq.as_run(n)).* from new_rows n) run where starts is not null or ends is not null;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select 'run', run_number, 'run times'
        from (select (gaq.as_run(o)).* from old_rows o) run where starts is not null or ends is not null;
    else
        insert into gaq.wide_invalidations (kind, key, cause)
        with before as (select (gaq.as_run(o)).* from old_rows o),
             after as (select (gaq.as_run(n)).* from new_rows n)
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
    if to_regproc('gaq.as_flag_type') is null then
        perform gaq.mark_unbound();
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select 'flag type', id, 'flag type' from (select (gaq.as_flag_type(n)).* from new_rows n) flag_type;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select 'flag type', id, 'flag type' from (select (gaq.as_flag_type(o)).* from old_rows o) flag_type;
    else
        insert into gaq.wide_invalidations (kind, key, cause)
        with before as (select (gaq.as_flag_type(o)).* from old_rows o),
             after as (select (gaq.as_flag_type(n)).* from new_rows n)
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
grant execute on function gaq.utc(timestamptz), gaq.utc(timestamp) to gaq_reader;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace view gaq.expanded_invalidations as
select w.id as wide_id, p.data_pass_id::bigint, p.run_number::bigint, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join gaq.source_pairs p on p.run_number = w.key
where w.kind = 'run'
union all
select w.id, f.data_pass_id::bigint, f.run_number::bigint, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join gaq.source_flags f on f.flag_type_id = w.key
join gaq.source_gaq_detectors d on d.data_pass_id = f.data_pass_id::bigint and d.run_number = f.run_number::bigint
                                   and d.detector_id = f.detector_id::bigint
where w.kind = 'flag type'
union all
select w.id, f.data_pass_id::bigint, f.run_number::bigint, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join gaq.source_flags f on f.id = w.key
join gaq.source_gaq_detectors d on d.data_pass_id = f.data_pass_id::bigint and d.run_number = f.run_number::bigint
                                   and d.detector_id = f.detector_id::bigint
where w.kind = 'flag'
union all
select wide_id, data_pass_id, run_number, invalidated_at, cause from gaq.source_invalidations
union all
select w.id, p.data_pass_id::bigint, p.run_number::bigint, w.invalidated_at, w.cause
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

create or replace function gaq.lock_sources() returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    lock table gaq.source_runs, gaq.source_pairs, gaq.source_gaq_detectors, gaq.source_flags, gaq.source_flag_types,
        gaq.source_verifications, gaq.source_data_passes, gaq.source_detectors, gaq.source_invalidations
        in access share mode nowait;
exception when lock_not_available then
    raise exception '%', sqlerrm
        using errcode = 'lock_not_available',
              hint = 'another session alters, truncates or locks the table, as a migration does; gaq-listen gives way to it';
    when insufficient_privilege then
        null;       -- not said here: who reads the table says what fails because of that
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
set row_security = off                      -- an error, rather than a summary of the rows that a policy lets through
set plan_cache_mode = force_generic_plan    -- planning would take longer than computing
set enable_seqscan = off                    -- a plan made while there was little must do when there is much
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
    left join lateral (
        select r.qc_time_start as w_start, r.qc_time_end as w_end
        from gaq.source_runs r
        where r.run_number = given.run_number
          and isfinite(r.qc_time_start) and isfinite(r.qc_time_end) and r.qc_time_start < r.qc_time_end offset 0
    ) run on true
    cross join lateral (
        select array_agg(distinct d.detector_id::bigint) as detectors
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
        from gaq.source_flags_of(p.data_pass_id, p.run_number, p.detectors) f offset 0      -- by index, pair by pair
    ) f
    where p.w_start is not null and f.starts < f.ends
    offset 0      -- the span is computed once, not once a use
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
               select id::bigint from gaq.source_flag_types where bad and mc_reproducible is not true))) as bad,
           gaq.union_of(periods) filter (where flag_type_id = any (array(
               select id::bigint from gaq.source_flag_types where mc_reproducible))) as mc_reproducible,
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
        select flag_id::bigint from gaq.source_verifications where flag_id = any (array(select unnest(ids) from flagged)))
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
    where (d.detector_id = any (i.complete)) is not true      -- null, which no flag can name, is a gap, too
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
               case when p.n > 1023      -- a mistake: the list would be computed for long, and hold up the others
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
    state text                              -- its SQLSTATE
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
    perform gaq.expand();
    perform from gaq.seeding for update skip locked;
    if found then
        insert into gaq.summaries (data_pass_id, run_number)
        select fail.data_pass_id, fail.run_number
        where exists (select from gaq.invalidations i
                      where i.data_pass_id = fail.data_pass_id and i.run_number = fail.run_number)
          and not exists (select from gaq.summaries s
                          where s.data_pass_id = fail.data_pass_id and s.run_number = fail.run_number)
        on conflict do nothing;
    end if;
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

create table if not exists gaq.settings (
    only_row     bool primary key default true check (only_row),
    keep_changes interval not null default '90 days' check (keep_changes >= '0')
);
insert into gaq.settings default values on conflict do nothing;

create table if not exists gaq.changes (
    data_pass_id                           bigint not null,
    run_number                             bigint not null,
    changed_at                             timestamptz not null,       -- when it was refreshed
    cause                                  text,                       -- what had made it stale
    refreshed_by                           text,
    removed                                bool not null,              -- the run left the data pass: there is no value after
    bad_before                             double precision,           -- coverages from 0 to 1; null: no value
    bad_after                              double precision,
    good_before                            double precision,
    good_after                             double precision,
    mc_reproducible_before                 double precision,
    mc_reproducible_after                  double precision,
    missing_verifications_before           int,
    missing_verifications_after            int,
    undefined_quality_periods_before       int,
    undefined_quality_periods_after        int,
    not_computable_before                  bool,                       -- null: there was no summary before
    not_computable_after                   bool
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
create index if not exists changes_by_age on gaq.changes (changed_at);
create index if not exists changes_by_pair on gaq.changes (data_pass_id, run_number, changed_at);
alter table gaq.changes replica identity full;

create or replace function gaq.keep_changes(how_long interval) returns interval
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    before interval := (select keep_changes from gaq.settings);
begin
    insert into gaq.settings (keep_changes) values (how_long)
    on conflict (only_row) do update set keep_changes = excluded.keep_changes;
    return before;
end
$$;

create or replace function gaq.trim_changes(at_most int) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from gaq.changes
               where changed_at < statement_timestamp() - (select keep_changes from gaq.settings)) then
        delete from gaq.changes c
        where c.ctid = any (array(
            select old.ctid
            from gaq.changes old
            where old.changed_at < statement_timestamp() - (select keep_changes from gaq.settings)
            order by old.changed_at
            limit at_most
            for update skip locked));
    end if;
end
$$;

revoke all on all routines in schema gaq from public;
grant execute on function gaq.keep_changes(interval) to gaq_worker;
grant select on gaq.changes, gaq.settings to gaq_reader;
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
            select case when count(*) > 0      -- greatest() would make a zero of no mark
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
    quiet interval default '0',             -- see gaq.due_at; zero: whatever is marked is due
    max_wait interval default '0',
    announce bool default true,             -- notify gaq_refreshed of the pairs, with the commit
    worker text default session_user,       -- who does it
    only_data_pass_ids bigint[] default null,   -- these pairs and no others, if they are marked, due or not
    only_run_numbers bigint[] default null
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
    removed bool,                           -- the pair is in no data pass any more: so is its summary
    error text,                             -- not null: it could not be computed, keeps its value and stays stale
    attempts int,                           -- how often in a row
    next_try double precision               -- in so many seconds
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set plan_cache_mode = force_generic_plan    -- planning would take longer than refreshing a pair
set enable_seqscan = off                    -- a plan made while the marks were few must do when they are many
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
            using hint = 'BEGIN ISOLATION LEVEL READ COMMITTED, or SET default_transaction_isolation = ''read committed''',
                  errcode = 'invalid_transaction_state';
    end if;
    if max_pairs is null or max_pairs not between 1 and 100000 then
        raise exception 'max_pairs must be between 1 and 100000: they are refreshed in one transaction'
            using errcode = 'invalid_parameter_value';
    end if;
    scanned := greatest(4 * max_pairs, 1000);
    looked_up := greatest(10 * max_pairs, 1000);

    perform gaq.lock_sources();

    perform pg_try_advisory_xact_lock_shared(gaq.batch_key());
    if exists (select from gaq.paused) or exists (select from gaq.detached) then
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
                  and exists (select from gaq.invalidations i         -- (offset 0: by the index, one by one)
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
                            or m.first_mark > at            -- the server's clock was set back
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
            expanded := gaq.expand(looked_up);      -- what was expanded stands for no pair, or for none that is due
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
    if passes is null then      -- another worker had folded them between our look and our claim
        return;
    end if;

    return query
    with claimed as (
        select u.*, s.explicitly_not_bad_run_coverage as good, s.bad_run_coverage as bad, s.mc_reproducible_coverage as mcr,
               s.missing_verifications_count as unverified, s.undefined_quality_periods_count as undefined, s.not_computable
        from unnest(passes, runs, since, why) u (data_pass_id, run_number, first_mark, causes)
        cross join lateral (
            select s.* from gaq.summaries s
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
    ), changed as (
        insert into gaq.changes
        select c.data_pass_id, c.run_number, clock_timestamp(), c.causes, worker, f.data_pass_id is null,
               c.bad, f.bad_run_coverage, c.good, f.explicitly_not_bad_run_coverage, c.mcr, f.mc_reproducible_coverage,
               c.unverified, f.missing_verifications_count, c.undefined, f.undefined_quality_periods_count,
               c.not_computable, f.not_computable
        from claimed c
        left join computed f on f.data_pass_id = c.data_pass_id and f.run_number = c.run_number
        where f.error is null and (select keep_changes > '0' from gaq.settings)
          and (c.bad, c.good, c.mcr, c.unverified, c.undefined, c.not_computable)
              is distinct from (f.bad_run_coverage, f.explicitly_not_bad_run_coverage, f.mc_reproducible_coverage,
                                f.missing_verifications_count, f.undefined_quality_periods_count, f.not_computable)
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
    select c.data_pass_id, named.name::text, c.run_number,
           c.first_mark, date_part('epoch', clock_timestamp() - c.first_mark), c.causes,
           c.good, f.explicitly_not_bad_run_coverage, f.data_pass_id is null,
           failing.error, failing.attempts, failing.next_try
    from claimed c
    left join computed f on f.data_pass_id = c.data_pass_id and f.run_number = c.run_number
    left join failing on failing.data_pass_id = c.data_pass_id and failing.run_number = c.run_number
    left join gaq.source_data_passes named on named.id = c.data_pass_id
    order by c.first_mark;

    perform gaq.trim_changes(2 * max_pairs);

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
    commit;
    loop
        set transaction isolation level read committed;
        select count(*) into refreshed from gaq.refresh(max_pairs);
        exit when refreshed = 0;
        commit;
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

create or replace function gaq.oldest_wide_mark(of_kind text, keys bigint[]) returns timestamptz
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
    return (
        select min(first.invalidated_at)
        from unnest(keys) named (key)
        cross join lateral (
            select w.kind, w.key, w.invalidated_at
            from gaq.wide_invalidations w
            where (w.kind, w.key) >= (of_kind, named.key)
            order by w.kind, w.key, w.invalidated_at
            limit 1
        ) first
        where first.kind = of_kind and first.key = named.key
    );
end
$$;

create or replace function gaq.first_wide_marks(of_kind text, how_many int)
returns table (key bigint, invalidated_at timestamptz)
language plpgsql stable security definer rows 10
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
#variable_conflict use_column
begin
    return query
    select first.key, first.invalidated_at
    from (
        select w.kind, w.key, w.invalidated_at
        from gaq.wide_invalidations w
        where w.kind >= of_kind
        order by w.kind, w.key, w.invalidated_at
        limit how_many
    ) first
    where first.kind = of_kind;
end
$$;

create or replace function gaq.wide_marks(of_kind text, at_most int default 1) returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
return (select count(*) from gaq.first_wide_marks(of_kind, at_most));

create or replace view gaq.marked_pairs as
select p.data_pass_id, p.run_number, m.invalidated_at
from (
    select data_pass_id::bigint, run_number::bigint from gaq.source_pairs
    where data_pass_id::bigint = data_pass_id and run_number::bigint = run_number
      and exists (select from gaq.wide_invalidations) and gaq.wide_marks('run') > 0
) p
cross join lateral (select gaq.oldest_wide_mark('run', array[p.run_number]) as invalidated_at offset 0) m
where m.invalidated_at is not null
union all
select p.data_pass_id, p.run_number, m.invalidated_at
from (
    select f.data_pass_id::bigint, f.run_number::bigint,
           array_agg(f.id::bigint) as flags, array_agg(distinct f.flag_type_id::bigint) as types
    from gaq.source_flag_pairs f
    where f.data_pass_id::bigint = f.data_pass_id and f.run_number::bigint = f.run_number
      and exists (select from gaq.source_gaq_detectors d
                  where d.data_pass_id = f.data_pass_id and d.run_number = f.run_number and d.detector_id = f.detector_id)
      and exists (select from gaq.wide_invalidations)
      and (gaq.wide_marks('flag type') > 0 or gaq.wide_marks('flag', 501) > 500)
    group by f.data_pass_id::bigint, f.run_number::bigint
) p
cross join lateral (
    select least(gaq.oldest_wide_mark('flag', p.flags),
                 case when (select gaq.wide_marks('flag type') > 0) then gaq.oldest_wide_mark('flag type', p.types) end)
           as invalidated_at
    offset 0
) m
where m.invalidated_at is not null
union all
select f.data_pass_id, f.run_number, w.invalidated_at
from gaq.first_wide_marks('flag', 500) w
cross join lateral (
    select f.data_pass_id::bigint, f.run_number::bigint
    from gaq.source_flags f
    join gaq.source_gaq_detectors d on d.data_pass_id = f.data_pass_id::bigint and d.run_number = f.run_number::bigint
                                       and d.detector_id = f.detector_id::bigint
    where f.id = w.key
    offset 0
) f
where exists (select from gaq.wide_invalidations) and gaq.wide_marks('flag', 501) <= 500
union all
select data_pass_id, run_number, invalidated_at from gaq.source_invalidations
where exists (select from gaq.wide_invalidations)
  and gaq.wide_marks('flag in run') + gaq.wide_marks('flag in data pass') > 0
union all
select data_pass_id, run_number,
       (select w.invalidated_at from gaq.first_wide_marks('everything', 1) w)
from (
    select data_pass_id::bigint, run_number::bigint from gaq.source_pairs
    where data_pass_id::bigint = data_pass_id and run_number::bigint = run_number
    union all
    select data_pass_id, run_number from gaq.summaries
) p
where exists (select from gaq.wide_invalidations) and gaq.wide_marks('everything') > 0;

create or replace view gaq.pending as
select data_pass_id, run_number, min(invalidated_at) as invalidated_at
from (
    (select distinct on (data_pass_id, run_number) data_pass_id, run_number, invalidated_at
     from gaq.invalidations
     order by data_pass_id, run_number, invalidated_at)
    union all
    select data_pass_id, run_number, invalidated_at from gaq.marked_pairs
) mark
group by data_pass_id, run_number;

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

create or replace function gaq.grants_on(given_on regclass) returns setof text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    select format('grant %s%s on %I to %s%s', privilege_type, ' (' || quote_ident(attname) || ')', relname,
                  case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
                  case when is_grantable then ' with grant option' else '' end)
    from (
        select relname, relacl as acl, null::name as attname, relowner as owner from pg_class where oid = given_on
        union all
        select relname, attacl, attname, relowner
        from pg_attribute join pg_class on pg_class.oid = attrelid where attrelid = given_on
    ) given
    cross join lateral aclexplode(acl)
    where grantee <> owner;
end;

create or replace function gaq.request() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'DELETE' then
        raise exception 'a summary in gaq_summaries cannot be deleted: it goes when its run leaves the data pass'
            using hint = 'To ask for a refresh: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...',
                  errcode = 'object_not_in_prerequisite_state';
    elsif tg_op = 'UPDATE' then
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
    perform set_config('search_path', quote_ident(coalesce(
        (select nspname from pg_trigger join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = c.relnamespace
         where tgfoid = to_regprocedure('gaq.request()') and relkind = 'v' limit 1),
        nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
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
                else nullif(not_computable::int <> 0, false) end as not_computable,      -- null: never computed
           gaq.utc(invalidated_at) as invalidated_at,
           gaq.utc(created_at) as created_at,
           gaq.utc(updated_at) as updated_at
    from gaq_summaries;

    insert into gaq.summaries (data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
                               mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
                               not_computable, created_at, updated_at)
    select data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
           mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
           not_computable, coalesce(gaq.showable(created_at), now()),
           case when not_computable is not null then coalesce(gaq.showable(updated_at), now()) end
    from gaq.original_summaries
    on conflict do nothing;
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    select data_pass_id, run_number, coalesce(gaq.showable(invalidated_at), clock_timestamp()), 'taken over'
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

do $$
declare
    original regclass;
    pair text;
    rest text;
    types text[];               -- of the view's columns
    present text[];             -- of those that it has
    grants text[];
    given text;
begin
    if to_regclass('gaq.original_summaries') is not null then
        select refobjid into original
        from pg_depend
        join pg_rewrite on pg_rewrite.oid = objid
        where classid = 'pg_rewrite'::regclass and ev_class = to_regclass('gaq.original_summaries')
          and refclassid = 'pg_class'::regclass and refobjid <> ev_class
        limit 1;
    end if;
    original := coalesce(original, to_regclass(format('%I.gaq_summaries', current_schema())));

    select array_agg(written.type order by place), string_agg(written.expression, ', ' order by place) filter (where place <= 2),
           string_agg(written.expression, ', ' order by place) filter (where place > 2)
    into types, pair, rest
    from (values (1, 'data_pass_id', 'bigint'), (2, 'run_number', 'bigint'),
                 (3, 'bad_run_coverage', 'double precision'), (4, 'explicitly_not_bad_run_coverage', 'double precision'),
                 (5, 'mc_reproducible_coverage', 'double precision'), (6, 'missing_verifications_count', 'integer'),
                 (7, 'undefined_quality_periods_count', 'integer'), (8, 'not_computable', 'boolean'),
                 (9, 'invalidated_at', 'timestamp with time zone'), (10, 'created_at', 'timestamp with time zone'),
                 (11, 'updated_at', 'timestamp with time zone')) ours (place, name, type)
    left join (select attname, format_type(atttypid, atttypmod) as type
               from pg_attribute join pg_type on pg_type.oid = atttypid
               where attrelid = original and typtype = 'b') theirs on attname = name
    cross join lateral (
        select coalesce(case when theirs.type = 'smallint' and place <= 2 then 'integer' else theirs.type end, ours.type) as type
    ) wanted
    cross join lateral (
        select wanted.type, case
            when wanted.type = ours.type then name
            when place <= 2 and wanted.type = 'integer' then format('(%I << 32 >> 32)::int as %1$I', name)
            when ours.type = 'boolean' then format('%I::int::%s as %1$I', name, wanted.type)
            when ours.type like 'timestamp%' and wanted.type like '%without time zone'
                then format('(%I at time zone ''UTC'')::%s as %1$I', name, wanted.type)
            else format('%I::%s as %1$I', name, wanted.type) end as expression
    ) written;

    select array_agg(format_type(atttypid, atttypmod) order by attnum) into present
    from pg_attribute where attrelid = to_regclass(format('%I.gaq_summaries', current_schema()));
    if present is null then
        select array_agg(statement) into grants from gaq.granted;      -- somebody has dropped it
    elsif present <> types then
        select array_agg(statement) into grants from gaq.grants_on('gaq_summaries') statement;
        begin
            drop view gaq_summaries;
        exception when dependent_objects_still_exist then
            raise warning 'gaq_summaries keeps its types, because something depends on it: %', present;
            return;
        end;
    end if;

    if pair = 'data_pass_id, run_number' then
        execute format('create or replace view gaq_summaries as select %s, %s from gaq.current_summaries', pair, rest);
    else
        execute format('create or replace view gaq_summaries as select data_pass_id, run_number, %s '
                       'from (select %s, bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage, '
                       'missing_verifications_count, undefined_quality_periods_count, not_computable, created_at, updated_at '
                       'from gaq.summaries where %3$s) s '
                       'full join (select %2$s, invalidated_at from gaq.pending where %3$s) p '
                       'using (data_pass_id, run_number)', rest, pair,
                       '(data_pass_id << 32 >> 32)::int = data_pass_id and (run_number << 32 >> 32)::int = run_number');
    end if;
    drop index if exists gaq.summaries_as_taken_over;       -- of an earlier version
    foreach given in array coalesce(grants, '{}') loop
        begin
            execute given;
        exception when undefined_object or undefined_column then
            null;       -- that role has gone
        end;
    end loop;
end
$$;

comment on view gaq_summaries is
    'Global Aggregated Quality of each data pass and run; stale while invalidated_at is not null. '
    'To ask for recomputation: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...';

create or replace trigger gaq_request instead of insert or update or delete on gaq_summaries
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
    owner regrole;
begin
    for owner in
        select distinct c.relowner
        from pg_trigger t
        join pg_proc f on f.oid = tgfoid
        join pg_class c on c.oid = tgrelid
        join pg_roles o on o.oid = c.relowner
        where f.pronamespace = 'gaq'::regnamespace and tgparentid = 0 and c.relkind in ('r', 'p')
          and not o.rolsuper and o.rolname <> 'gaq_owner'
    loop
        execute format('grant select on gaq_summaries to %s', owner);
    end loop;
end
$$;

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
        where privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE') and grantee is distinct from to_regrole('gaq_owner')
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
    select data_pass_id::bigint, run_number::bigint from gaq.source_pairs
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

create or replace function gaq.is_there(backend_pid int) returns bool
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    select exists (select from gaq.workers w
                   join pg_stat_activity a on a.pid = w.backend_pid
                   where w.backend_pid = is_there.backend_pid and a.datname = current_database()
                     and w.seen_at >= pg_postmaster_start_time()
                     and (a.backend_start is null or a.backend_start <= w.seen_at));
end;

create or replace function gaq.enroll(name text, host text, pid int, backend_before int default null) returns void
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
    if other.backend_pid is distinct from backend_before and other.backend_pid <> pg_backend_pid()
       and gaq.is_there(other.backend_pid) then
        raise exception 'another worker is called %: process % on %', other.name, other.pid, other.host
            using hint = 'give each worker a --name of its own', errcode = 'unique_violation';
    end if;
    insert into gaq.workers as w (name, host, pid, backend_pid, state)
    values (enroll.name, enroll.host, enroll.pid, pg_backend_pid(), 'starting')
    on conflict on constraint workers_pkey do update
    set host = excluded.host, pid = excluded.pid, backend_pid = excluded.backend_pid, state = excluded.state,
        started_at = case when w.backend_pid = backend_before then w.started_at else excluded.started_at end,
        seen_at = excluded.seen_at, batches = 0, pairs = 0, swept_at = null, swept_found = null, found_by_sweeps = 0,
        doorbell_pid = null;
end
$$;

create or replace function gaq.enroll_doorbell(name text, doorbell_pid int) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
    update gaq.workers w
    set doorbell_pid = enroll_doorbell.doorbell_pid
    where w.name = enroll_doorbell.name and w.backend_pid = pg_backend_pid();
end;

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

revoke all on all routines in schema gaq from public;
grant execute on function gaq.freshness(interval, interval), gaq.backlog() to gaq_reader;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace view gaq.run_lengths as
select run_number::bigint as run_number, date_part('epoch', qc_time_end - qc_time_start) as seconds
from gaq.source_runs
where isfinite(qc_time_start) and isfinite(qc_time_end) and qc_time_start < qc_time_end;

create or replace view gaq.data_pass_summaries as
select data_pass_id,
       named.name as data_pass,
       runs,
       seconds / 3600 as hours,             -- of the runs that count in the coverages
       bad / nullif(seconds, 0) as bad_run_coverage,
       good / nullif(seconds, 0) as explicitly_not_bad_run_coverage,
       mc_reproducible / nullif(seconds, 0) as mc_reproducible_coverage,
       greatest(0, seconds - bad - good - mc_reproducible) / nullif(seconds, 0) as undecided_coverage,
       not_computable,
       missing_verifications,
       undefined_quality_periods,
       stale,
       stale_since                          -- the oldest mark; null: everything is fresh
from (
    select s.data_pass_id,
           count(*) as runs,
           coalesce(sum(l.seconds) filter (where s.bad_run_coverage is not null), 0) as seconds,
           coalesce(sum(s.bad_run_coverage * l.seconds), 0) as bad,
           coalesce(sum(s.explicitly_not_bad_run_coverage * l.seconds), 0) as good,
           coalesce(sum(s.mc_reproducible_coverage * l.seconds), 0) as mc_reproducible,
           count(*) filter (where s.not_computable) as not_computable,
           coalesce(sum(s.missing_verifications_count), 0) as missing_verifications,
           coalesce(sum(s.undefined_quality_periods_count), 0) as undefined_quality_periods,
           count(s.invalidated_at) as stale,
           min(s.invalidated_at) as stale_since
    from gaq.current_summaries s
    left join gaq.run_lengths l using (run_number)
    group by s.data_pass_id
) summed
left join gaq.source_data_passes named on named.id = data_pass_id;

comment on view gaq.data_pass_summaries is
    'The stored summaries of each data pass, summed up: coverages are fractions of the hours of all runs that have values';

grant select on gaq.run_lengths, gaq.data_pass_summaries to gaq_reader;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace view gaq.marks as
select data_pass_id, run_number, invalidated_at, cause from gaq.invalidations
union all
select data_pass_id, run_number, invalidated_at, cause from gaq.expanded_invalidations;

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
    not_computable bool,                    -- null: never computed
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
    select distinct d.detector_id::bigint, coalesce(n.name, '#' || coalesce(d.detector_id::text, 'null'))
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
    starts timestamptz,                     -- as given; null: from the start, or to the end, of the run
    ends timestamptz,
    created_at timestamptz,
    created_by text,
    comment text,
    verifications int,
    span tstzrange,                         -- within the window; empty: nothing of it
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
    select f.id::bigint, f.detector_id::bigint, coalesce(n.name, '#' || f.detector_id), coalesce(t.name, '#' || f.flag_type_id),
           coalesce(t.bad, false), coalesce(t.mc_reproducible, false),     -- of no type: it covers, and says nothing bad
           gaq.showable(f.starts), gaq.showable(f.ends), gaq.showable(f.created_at), d.created_by, d.comment,
           (select count(*)::int from gaq.source_verifications v where v.flag_id = f.id),
           f.span,
           tstzmultirange(f.span) - gaq.union_of(tstzmultirange(f.span)) over later,
           array(select l.id::bigint from flag l
                 where l.detector_id = f.detector_id and (l.created_at, l.id) > (f.created_at, f.id) and l.span && f.span
                 order by l.created_at, l.id)
    from flag f
    left join gaq.source_flag_types t on t.id = f.flag_type_id
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

create or replace function gaq.periods(data_pass_id bigint, run_number bigint)
returns table (
    "from" timestamptz,
    "to" timestamptz,
    quality text,                           -- good, mc_reproducible, bad, or undefined: a detector has no flag
    flag_ids bigint[],                      -- the effective flags on detectors that matter
    unverified_flag_ids bigint[],           -- those of them that nobody has verified
    detectors_without_flag bigint[]         -- the detectors that matter and have none
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off                      -- an error, rather than the periods of the flags that a policy lets through
begin atomic
    with run as (
        select r.qc_time_start as w_start, r.qc_time_end as w_end
        from gaq.source_runs r
        where r.run_number = periods.run_number
          and isfinite(r.qc_time_start) and isfinite(r.qc_time_end) and r.qc_time_start < r.qc_time_end
    ), listed as materialized (
        select array_agg(distinct d.detector_id) as detectors
        from gaq.source_gaq_detectors d
        where d.data_pass_id = periods.data_pass_id and d.run_number = periods.run_number
    ), flag as materialized (
        select f.flag_id, f.detector_id, f.bad, f.mc_reproducible, f.verifications, f.effective
        from gaq.explain_flags(periods.data_pass_id, periods.run_number) f
    ), effective as materialized (
        select f.flag_id, f.detector_id, f.bad, f.mc_reproducible, f.verifications, unnest(f.effective) as period
        from flag f
        cross join listed l
        where f.detector_id = any (l.detectors)
    ), bound as (
        select lower(e.period) as at from effective e
        union
        select upper(e.period) from effective e
        union
        select r.w_start from run r
        union
        select r.w_end from run r
    ), elementary as (
        select b.at as starts, lead(b.at) over (order by b.at) as ends from bound b
    )
    select e.starts, e.ends,
           case when cardinality(c.detectors) < cardinality(l.detectors) then 'undefined'
                when c.bad then 'bad'
                when c.mc_reproducible then 'mc_reproducible'
                else 'good' end,
           c.flags, c.unverified,
           array(select d.detector from unnest(l.detectors) d (detector)
                 where (d.detector = any (c.detectors)) is not true       -- null, which no flag can name, has none
                 order by d.detector)
    from elementary e
    cross join listed l
    cross join lateral (
        select coalesce(array_agg(f.flag_id order by f.flag_id), '{}') as flags,
               coalesce(array_agg(f.flag_id order by f.flag_id) filter (where f.verifications = 0), '{}') as unverified,
               coalesce(array_agg(f.detector_id), '{}') as detectors,
               bool_or(f.bad and not f.mc_reproducible) as bad,
               bool_or(f.mc_reproducible) as mc_reproducible
        from effective f
        where f.period @> e.starts
    ) c
    where e.ends is not null and cardinality(l.detectors) > 0
      and exists (select from run) and exists (select from flag)
    order by e.starts;
end;

comment on function gaq.periods(bigint, bigint) is
    'The elementary periods of a pair (data_pass_id, run_number), computed now, in order; no row: it is not computable';

revoke all on all routines in schema gaq from public;
grant execute on function gaq.periods(bigint, bigint) to gaq_reader;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace function gaq.live_summaries(
    of_data_pass_id bigint,                 -- (data_pass_id is the name of a column that is returned)
    run_numbers bigint[] default null,      -- null: all
    max_stale int default 1000              -- an error when more are stale, because that would take long; null: no bound
)
returns table (
    data_pass_id bigint,
    run_number bigint,
    bad_run_coverage double precision,
    explicitly_not_bad_run_coverage double precision,
    mc_reproducible_coverage double precision,
    missing_verifications_count int,
    undefined_quality_periods_count int,
    not_computable bool,
    invalidated_at timestamptz,             -- null: the values are right now; else stale since, and the error says why
    created_at timestamptz,
    updated_at timestamptz,                 -- when the values were computed
    computed_now bool,                      -- by this query; false: they are the stored ones
    error text                              -- why the pair cannot be computed
)
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off                      -- an error, rather than a summary of the rows that a policy lets through
set plan_cache_mode = force_generic_plan    -- planning would take longer than reading
set enable_seqscan = off                    -- a plan made while there was little must do when there is much
as $$
#variable_conflict use_column
declare
    stale bigint[];
    since timestamptz[];
    existing bigint[];
begin
    if exists (select from gaq.detached) then
        raise exception 'gaq-listen is detached from the source tables, so nothing can be computed now'
            using hint = 'read gaq_summaries, where every summary counts as stale; gaq-listen install attaches again',
                  errcode = 'object_not_in_prerequisite_state';
    end if;

    if exists (select from gaq.wide_invalidations) then
        select array_agg(p.run_number), array_agg(p.invalidated_at)
        into stale, since
        from gaq.pending p
        where p.data_pass_id = of_data_pass_id
          and (run_numbers is null or p.run_number = any (run_numbers));
    else
        select array_agg(marked.run_number), array_agg(marked.invalidated_at)
        into stale, since
        from (
            select i.run_number, min(i.invalidated_at) as invalidated_at
            from gaq.invalidations i
            where i.data_pass_id = of_data_pass_id
              and (run_numbers is null or i.run_number = any (run_numbers))
            group by i.run_number
        ) marked;
    end if;

    if stale is null then
        return query
        select s.data_pass_id, s.run_number, s.bad_run_coverage, s.explicitly_not_bad_run_coverage,
               s.mc_reproducible_coverage, s.missing_verifications_count, s.undefined_quality_periods_count,
               s.not_computable, null::timestamptz, s.created_at, s.updated_at, false, null::text
        from gaq.summaries s
        where s.data_pass_id = of_data_pass_id
          and (run_numbers is null or s.run_number = any (run_numbers));
        return;
    end if;

    existing := array(
        select u.run_number
        from unnest(stale) u (run_number)
        where exists (select from gaq.source_pairs p
                      where p.data_pass_id = of_data_pass_id and p.run_number = u.run_number offset 0));
    if cardinality(existing) > max_stale then
        raise exception '% runs of this data pass are stale: at most % are computed at once',
                        cardinality(existing), max_stale
            using hint = 'name fewer runs, or wait until a worker has refreshed them: gaq-listen status',
                  errcode = 'program_limit_exceeded';
    end if;

    return query
    with computed as materialized (
        select c.*
        from gaq.compute_apart(array_fill(of_data_pass_id, array[cardinality(existing)]), existing) c
    )
    select s.data_pass_id, s.run_number, s.bad_run_coverage, s.explicitly_not_bad_run_coverage,
           s.mc_reproducible_coverage, s.missing_verifications_count, s.undefined_quality_periods_count,
           s.not_computable, null::timestamptz, s.created_at, s.updated_at, false, null::text
    from gaq.summaries s
    where s.data_pass_id = of_data_pass_id
      and (run_numbers is null or s.run_number = any (run_numbers))
      and s.run_number not in (select unnest(stale))
    union all
    select c.data_pass_id, c.run_number, c.bad_run_coverage, c.explicitly_not_bad_run_coverage,
           c.mc_reproducible_coverage, c.missing_verifications_count, c.undefined_quality_periods_count,
           c.not_computable, null, s.created_at, statement_timestamp(), true, null
    from computed c
    left join gaq.summaries s on s.data_pass_id = c.data_pass_id and s.run_number = c.run_number
    where c.error is null
    union all
    select c.data_pass_id, c.run_number, s.bad_run_coverage, s.explicitly_not_bad_run_coverage,
           s.mc_reproducible_coverage, s.missing_verifications_count, s.undefined_quality_periods_count,
           s.not_computable, m.invalidated_at, s.created_at, s.updated_at, false, c.error
    from computed c
    join unnest(stale, since) m (run_number, invalidated_at) on m.run_number = c.run_number
    left join gaq.summaries s on s.data_pass_id = c.data_pass_id and s.run_number = c.run_number
    where c.error is not null;
end
$$;

comment on function gaq.live_summaries(bigint, bigint[], int) is
    'What gaq_summaries shows of a data pass, with every stale pair computed now, on the caller''s snapshot; nothing is stored';

revoke all on all routines in schema gaq from public;
grant execute on function gaq.live_summaries(bigint, bigint[], int) to gaq_reader;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create table if not exists gaq.installation (
    only_row       bool primary key default true check (only_row),
    version        int not null,
    server_version int not null,            -- server_version_num: definitions read differently on another major version
    sources        text not null,           -- which sources file: 'reference', 'bookkeeping' or another
    installed_by   text not null,
    installed_at   timestamptz not null
);

create table if not exists gaq.installed_objects (
    kind     text not null,
    name     text not null,
    checksum text not null,
    primary key (kind, name)
);

create table if not exists gaq.bindings (
    schema_name   text not null,
    table_name    text not null,
    column_name   text not null,
    bound_table   regclass not null,        -- a dump writes this as a name, and restores the number of another database
    table_number  oid not null,             -- the same, but restored as it is: so a restored record is told from one of this database
    column_number int not null,             -- pg_attribute.attnum
    type          text not null,
    expression    text not null,            -- of a generated column: a checksum that a rename leaves alone; else empty
    primary key (schema_name, table_name, column_name)
);

create or replace function gaq.recorded_name(source_table oid) returns text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    select coalesce((select format('%I.%I', schema_name, table_name) from gaq.bindings where bound_table = source_table limit 1),
                    source_table::regclass::text);
end;

create or replace function gaq.objects() returns table (kind text, name text, owner text, checksum text)
language sql stable
set search_path = pg_catalog, pg_temp       -- so that definitions name everything with its schema
set timezone = 'UTC'                        -- and instants read the same for everybody
set datestyle = 'ISO'
set quote_all_identifiers = off
set intervalstyle = 'postgres'
begin atomic
    select 'function' as kind,
           format('gaq.%I(%s)', proname,
                  coalesce((select gaq.recorded_name(typrelid) from pg_type where pg_type.oid = proargtypes[0] and typrelid <> 0),
                           pg_get_function_identity_arguments(oid))) as name,
           pg_get_userbyid(proowner) as owner,
           md5(case when prokind = 'a'
                    then (select concat_ws(' ', aggtransfn, aggtranstype::regtype, agginitval) from pg_aggregate
                          where aggfnoid = pg_proc.oid)
                    else pg_get_functiondef(oid) end) as checksum
    from pg_proc
    where pronamespace = 'gaq'::regnamespace
    union all
    select 'view' as kind, oid::regclass::text as name, pg_get_userbyid(relowner) as owner, md5(pg_get_viewdef(oid)) as checksum
    from pg_class
    where relkind = 'v' and (relnamespace = 'gaq'::regnamespace
                             or oid in (select tgrelid from pg_trigger where tgfoid = 'gaq.request()'::regprocedure))
    union all
    select 'table' as kind, c.oid::regclass::text as name, pg_get_userbyid(relowner) as owner,
           md5(concat_ws(' ', relpersistence, relreplident, reloptions, string_agg(
               concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attidentity, pg_get_expr(adbin, adrelid)),
               ', ' order by attnum))) as checksum
    from pg_class c
    join pg_attribute a on attrelid = c.oid and attnum > 0 and not attisdropped
    left join pg_attrdef on adrelid = c.oid and adnum = attnum
    where relkind = 'r' and relnamespace = 'gaq'::regnamespace
    group by c.oid, relowner, relpersistence, relreplident, reloptions
    union all
    select 'index' as kind, indexrelid::regclass::text as name, pg_get_userbyid(relowner) as owner,
           md5(concat_ws(' ', indisvalid, pg_get_indexdef(indexrelid))) as checksum
    from pg_index
    join pg_class on pg_class.oid = indexrelid
    where relnamespace = 'gaq'::regnamespace
    union all
    select 'trigger' as kind, format('%I on %s', tgname, gaq.recorded_name(tgrelid)) as name, pg_get_userbyid(relowner) as owner,
           md5(concat_ws(' ', tgenabled, replace(pg_get_triggerdef(t.oid), format(' ON %s ', tgrelid::regclass),
                                                 format(' ON %s ', gaq.recorded_name(tgrelid))))) as checksum
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

create or replace function gaq.detector_qualities(of_data_pass_id bigint, run_numbers bigint[])
returns table (
    run_number bigint,
    detector_id bigint,
    detector text,
    good double precision,
    mc_reproducible double precision,
    bad double precision
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off                      -- an error, rather than what a policy lets through
begin atomic
    with run as materialized (
        select l.run_number, l.seconds
        from (select distinct u.run_number from unnest(detector_qualities.run_numbers) u (run_number)) given
        join gaq.run_lengths l using (run_number)
    ), part as materialized (
        select r.run_number, f.detector_id, f.bad, f.mc_reproducible, unnest(f.effective) as span
        from run r
        cross join lateral gaq.explain_flags(of_data_pass_id, r.run_number) f
    ), length as (
        select p.run_number, p.detector_id,
               date_part('epoch', sum(upper(p.span) - lower(p.span)) filter (where not p.bad and not p.mc_reproducible)) as good,
               date_part('epoch', sum(upper(p.span) - lower(p.span)) filter (where p.mc_reproducible)) as mc_reproducible,
               date_part('epoch', sum(upper(p.span) - lower(p.span)) filter (where p.bad and not p.mc_reproducible)) as bad
        from part p
        group by p.run_number, p.detector_id
    )
    select r.run_number, d.detector_id, d.detector,
           coalesce(s.good, 0) / r.seconds, coalesce(s.mc_reproducible, 0) / r.seconds, coalesce(s.bad, 0) / r.seconds
    from run r
    cross join lateral gaq.explain_detectors(of_data_pass_id, r.run_number) d
    left join length s on s.run_number = r.run_number and s.detector_id = d.detector_id
    order by r.run_number, d.detector;
end;

revoke all on all routines in schema gaq from public;
grant execute on function gaq.detector_qualities(bigint, bigint[]) to gaq_reader;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

create or replace view gaq.bound_columns as
select n.nspname::text as schema_name, c.relname::text as table_name, a.attname::text as column_name,
       a.attrelid as table_number, a.attnum::int as column_number, format_type(a.atttypid, a.atttypmod) as type,
       coalesce((select md5(adbin::text) from pg_catalog.pg_attrdef
                 where adrelid = a.attrelid and adnum = a.attnum and a.attgenerated <> ''), '') as expression,
       bool_or(d.classid = 'pg_catalog.pg_proc'::regclass) as marked      -- a trigger compares it
from pg_catalog.pg_depend d
left join pg_catalog.pg_rewrite w on d.classid = 'pg_catalog.pg_rewrite'::regclass and w.oid = d.objid
left join pg_catalog.pg_class v on v.oid = w.ev_class
left join pg_catalog.pg_proc f on d.classid = 'pg_catalog.pg_proc'::regclass and f.oid = d.objid
join pg_catalog.pg_class c on d.refclassid = 'pg_catalog.pg_class'::regclass and c.oid = d.refobjid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
where d.refobjsubid > 0 and n.nspname <> 'gaq'
  and (v.relnamespace = 'gaq'::regnamespace and v.relname like 'source\_%'
       or f.pronamespace = 'gaq'::regnamespace and f.proname like 'as\_%')
group by n.nspname, c.relname, a.attname, a.attrelid, a.attnum, a.atttypid, a.atttypmod, a.attgenerated;

create or replace function gaq.source_changes() returns table (kind text, what text)
language sql stable
set search_path = pg_catalog, pg_temp       -- so that tables are named with their schema
as $$
    with bound as materialized (
        select * from gaq.bound_columns
    ), restored as (
        select exists (select from gaq.bindings where bound_table <> table_number) as it
    ), known as (
        select b.schema_name, b.table_name, b.column_name, b.expression,
               b.bound_table::oid as table_number,
               case when restored.it then (select attnum from pg_attribute
                                           where attrelid = b.bound_table and attname = b.column_name and not attisdropped)
                    else b.column_number end as column_number,
               named.oid as named, named.relkind as named_kind, restored.it as is_restored
        from gaq.bindings b
        cross join restored
        left join (pg_class named join pg_namespace n on n.oid = named.relnamespace)
             on n.nspname = b.schema_name and named.relname = b.table_name
        where not exists (select from gaq.detached)
    ), swapped as (
        select distinct k.schema_name, k.table_name, k.table_number
        from known k
        where k.named <> k.table_number
          and not exists (select from pg_rewrite join pg_depend d on d.objid = pg_rewrite.oid
                          where ev_class = k.named and k.named_kind = 'v' and d.classid = 'pg_rewrite'::regclass
                            and d.refclassid = 'pg_class'::regclass and d.refobjid = k.table_number)
    ), unread as (
        select distinct k.schema_name, k.table_name, k.table_number
        from known k
        where not exists (select from bound where bound.table_number = k.table_number)
          and not exists (select from swapped s where s.table_number = k.table_number)
    ), columns as (
        select k.*, a.attnum as number_now, c.oid::regclass::text as table_now,
               (select attname from pg_attribute where attrelid = c.oid and attnum = k.column_number and not attisdropped) as name_now
        from known k
        join pg_class c on c.oid = k.table_number
        left join pg_attribute a on a.attrelid = c.oid and a.attname = k.column_name and not a.attisdropped
        where not exists (select from swapped s where s.table_number = k.table_number)
          and not exists (select from unread u where u.table_number = k.table_number)
    )
    select 'detached' as kind, format('gaq-listen is detached since %s, so every summary counts as stale',
                                      to_char(since at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) as what
    from gaq.detached
    union all
    select 'table', format('%I.%I is another table than the one that gaq-listen reads, which %s', schema_name, table_name,
                           coalesce('is now called ' || (select oid::regclass::text from pg_class where oid = table_number),
                                    'is gone'))
    from swapped
    union all
    select 'table', format('gaq-listen does not read table %I.%I any more, because what read it was dropped',
                           schema_name, table_name)
    from unread
    union all
    select 'column', format('column %I of %s is another column than the one that gaq-listen reads, which %s',
                            column_name, table_now, coalesce('is now called ' || quote_ident(name_now), 'is gone'))
    from columns where number_now <> column_number
    union all
    select 'column', format('gaq-listen does not read %s of %s any more, because what read it was dropped',
                            string_agg(quote_ident(column_name), ', ' order by column_name), table_now)
    from columns
    where coalesce(number_now, column_number) = column_number
      and not exists (select from bound where bound.table_number = columns.table_number
                                          and bound.column_number = columns.column_number)
    group by table_now
    union all
    select 'column', format('column %I of %s is generated in another way than before, which changed values unseen',
                            columns.column_name, table_now)
    from columns
    join bound on bound.table_number = columns.table_number and bound.column_number = columns.column_number
    where number_now = columns.column_number and not is_restored and bound.expression <> columns.expression
      and (select server_version from gaq.installation) / 10000 = current_setting('server_version_num')::int / 10000
    union all
    select 'trigger', format('triggers that mark are missing or disabled on %s, so changes are not seen', table_number::regclass)
    from (select distinct table_number from bound where marked) marked
    where not exists (select from swapped s where s.table_number = marked.table_number)
      and not exists (select from gaq.detached) and exists (select from gaq.bindings)
      and (select bit_or(tgtype::int) & 60 from pg_trigger join pg_proc on pg_proc.oid = tgfoid
           where tgrelid = marked.table_number and pronamespace = 'gaq'::regnamespace and tgenabled = 'A') is distinct from 60
    order by 1, 2
$$;

create or replace function gaq.renamed_sources() returns table (name_then text, name_now text, is_table bool)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select distinct format('%I.%I', b.schema_name, b.table_name), c.oid::regclass::text, true
    from gaq.bindings b
    join pg_class c on c.oid = b.bound_table
    join pg_namespace n on n.oid = c.relnamespace
    where (n.nspname, c.relname) <> (b.schema_name::name, b.table_name::name)
      and exists (select from gaq.bound_columns o where o.table_number = b.bound_table)
    union all
    select format('%I.%I.%I', b.schema_name, b.table_name, b.column_name), format('%s.%I', a.attrelid::regclass, a.attname), false
    from gaq.bindings b
    join pg_attribute a on a.attrelid = b.table_number and a.attnum = b.column_number and not a.attisdropped
    where a.attname <> b.column_name
      and exists (select from gaq.bound_columns o where o.table_number = b.table_number)
$$;

revoke all on all routines in schema gaq from public;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

grant usage on schema gaq to gaq_reader;
grant select on gaq.status, gaq.bell_holders, gaq.pending, gaq.current_summaries, gaq.source_data_passes,
    gaq.source_detectors to gaq_reader;
grant select on gaq.installation, gaq.installed_objects, gaq.bindings, gaq.bound_columns, gaq.detached to gaq_reader;
grant select on gaq.failures, gaq.paused, gaq.workers, gaq.known_pairs to gaq_reader;
grant execute on function gaq.bell_key(), gaq.objects(), gaq.is_there(int), gaq.batches_in_flight(),
    gaq.recorded_name(oid), gaq.source_changes(), gaq.renamed_sources(),
    gaq.differences(bigint[], bigint[]) to gaq_reader;

grant execute on function gaq.oldest_wide_mark(text, bigint[]), gaq.wide_marks(text, int), gaq.first_wide_marks(text, int)
    to public;

grant execute on function gaq.refresh(int, interval, interval, bool, text, bigint[], bigint[]), gaq.lock_sources(),
    gaq.next_due(interval, interval), gaq.fail(bigint, bigint, text, text), gaq.ring(),
    gaq.enroll(text, text, int, int), gaq.enroll_doorbell(text, int), gaq.report(text, text, bigint, bigint, bigint, int), gaq.leave(text),
    gaq.pause(text, text), gaq.resume(), gaq.recalculate(bigint[], bigint[], text),
    gaq.retry_failures(bigint[], bigint[])
    to gaq_worker;
grant execute on procedure gaq.drain(int) to gaq_worker;

reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

do $$
declare
    former record;
begin
    for former in
        with recursive read as (
            select distinct d.refobjid as source_table
            from pg_class v
            join pg_rewrite w on w.ev_class = v.oid
            join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
            where v.relnamespace = 'gaq'::regnamespace and v.relname like 'source\_%'
            union
            select inhrelid from pg_inherits join read on inhparent = source_table
        )
        select tgname, tgrelid::regclass as source_table
        from pg_trigger
        join pg_proc on pg_proc.oid = tgfoid
        join pg_class on pg_class.oid = tgrelid
        where pronamespace = 'gaq'::regnamespace and tgparentid = 0 and relkind in ('r', 'p')
          and tgrelid not in (select source_table from read)
    loop
        execute format('drop trigger %I on %s', former.tgname, former.source_table);
    end loop;
end
$$;

set role gaq_owner;
do $$
declare
    former regprocedure;
begin
    for former in
        select f.oid::regprocedure
        from pg_proc f
        join pg_type t on t.oid = f.proargtypes[0]
        where f.pronamespace = 'gaq'::regnamespace and f.proname like 'as\_%' and t.typrelid <> 0
          and not exists (select from pg_class v
                          join pg_rewrite w on w.ev_class = v.oid
                          join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
                          where v.relnamespace = 'gaq'::regnamespace and v.relname like 'source\_%'
                            and d.refclassid = 'pg_class'::regclass and d.refobjid = t.typrelid)
    loop
        execute format('drop function %s', former);
    end loop;
end
$$;
reset role;

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(
        (select nspname from pg_trigger join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = c.relnamespace
         where tgfoid = to_regprocedure('gaq.request()') and relkind = 'v' limit 1),
        nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;
set role gaq_owner;

do $$
declare
    thing record;
begin
    for thing in
        select case relkind when 'v' then 'view' else 'table' end as kind, c.oid::regclass as name, said
        from (values
            ('gaq_summaries', 'The Global Aggregated Quality of each data pass and run. A summary is stale while '
                'invalidated_at is not null. To ask for recomputation: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...'),
            ('gaq.current_summaries', 'The summaries that gaq_summaries shows, with the types of gaq-listen.'),
            ('gaq.data_pass_summaries', 'The stored summaries of each data pass, summed up. Each run is weighted by its length.'),
            ('gaq.run_lengths', 'The length of each run that has QC times.'),
            ('gaq.changes', 'The values of a pair before and after each refresh that changed them.'),
            ('gaq.settings', 'The settings of this database, in one row.'),
            ('gaq.failures', 'The pairs whose computation fails. A failing pair keeps its value and is tried again.'),
            ('gaq.bindings', 'The source tables and columns that the installation was bound to.'),
            ('gaq.bound_columns', 'The source tables and columns that gaq-listen is bound to now.'),
            ('gaq.detached', 'One row while nothing is bound to the source tables. No batch begins meanwhile.'),
            ('gaq.paused', 'One row while all work is paused; no row otherwise.'),
            ('gaq.workers', 'What each worker last reported. A worker is there if gaq.is_there(backend_pid) is true.'),
            ('gaq.status', 'The backlog, the stored summaries, and the state of doorbell and triggers, in one row.'),
            ('gaq.marks', 'All pending marks of pairs, each with its cause.'),
            ('gaq.pending', 'The stale pairs, each with the time of its oldest mark.'),
            ('gaq.known_pairs', 'All pairs that exist or have a stored summary.'),
            ('gaq.bell_holders', 'The sessions that hold the lock of the doorbell.'),
            ('gaq.installation', 'The version of the installed SQL, and who installed it when, in one row.'),
            ('gaq.installed_objects', 'The objects that were installed, with a checksum of each definition.'),
            ('gaq.source_data_passes', 'The names of data passes.'),
            ('gaq.source_detectors', 'The names of detectors.')) given (name, said)
        join pg_class c on c.oid = to_regclass(given.name) and relkind in ('v', 'r')
    loop
        execute format('comment on %s %s is %L', thing.kind, thing.name, thing.said);
    end loop;
end
$$;

do $$
declare
    thing record;
begin
    for thing in
        select attrelid::regclass as relation, attname, said
        from (values
            ('gaq_summaries', 'data_pass_id', 'Data pass of the pair.'),
            ('gaq_summaries', 'run_number', 'Run of the pair.'),
            ('gaq_summaries', 'bad_run_coverage', 'Fraction of the run that is bad, 0 to 1.'),
            ('gaq_summaries', 'explicitly_not_bad_run_coverage', 'Fraction of the run that is good for all GAQ detectors, 0 to 1.'),
            ('gaq_summaries', 'mc_reproducible_coverage', 'Fraction of the run that is MC reproducible, 0 to 1.'),
            ('gaq_summaries', 'missing_verifications_count', 'Number of effective flags that nobody has verified.'),
            ('gaq_summaries', 'undefined_quality_periods_count', 'Number of detectors without a flag, over all elementary periods.'),
            ('gaq_summaries', 'not_computable', 'True if QC times, GAQ detectors or flags are missing. Null: never computed.'),
            ('gaq_summaries', 'invalidated_at', 'Time since when the summary is stale. Null: it is fresh.'),
            ('gaq_summaries', 'created_at', 'Time of the first computation.'),
            ('gaq_summaries', 'updated_at', 'Time of the last computation.'),
            ('gaq.data_pass_summaries', 'hours', 'Length of all runs that have values.'),
            ('gaq.data_pass_summaries', 'undecided_coverage', 'Fraction of the hours in which some detector has no flag.'),
            ('gaq.data_pass_summaries', 'stale', 'Number of stale runs.'),
            ('gaq.data_pass_summaries', 'stale_since', 'Time of the oldest mark. Null: everything is fresh.'),
            ('gaq.changes', 'changed_at', 'Time of the refresh.'),
            ('gaq.changes', 'cause', 'What had made the pair stale.'),
            ('gaq.changes', 'refreshed_by', 'Name of the worker, or the role that refreshed by hand.'),
            ('gaq.changes', 'removed', 'True if the run had left the data pass, so that there are no values after.'),
            ('gaq.settings', 'keep_changes', 'How long gaq.changes keeps a change. Zero: nothing is kept.'),
            ('gaq.failures', 'error', 'Message of the last failure.'),
            ('gaq.failures', 'sqlstate', 'SQLSTATE of the last failure.'),
            ('gaq.failures', 'attempts', 'Number of failures in a row.'),
            ('gaq.failures', 'next_try_at', 'Time of the next try. A new mark leads to one at once.'),
            ('gaq.paused', 'paused_by', 'User and host, or role, that paused.'),
            ('gaq.workers', 'state', 'State that the worker last reported: listening, polling, draining, paused or broken.'),
            ('gaq.workers', 'seen_at', 'Time of the last report, so the age of state and counts.'),
            ('gaq.workers', 'batches', 'Number of batches since the worker connected.'),
            ('gaq.workers', 'pairs', 'Number of refreshed pairs since the worker connected.'),
            ('gaq.workers', 'swept_at', 'Time of the last sweep.'),
            ('gaq.workers', 'swept_found', 'Number of pairs that the last sweep found.'),
            ('gaq.workers', 'found_by_sweeps', 'Number of pairs that all sweeps found.'),
            ('gaq.workers', 'doorbell_pid', 'Backend that sleeps at the doorbell. Null: the worker polls.'),
            ('gaq.status', 'stale_pairs', 'Number of stale pairs, roughly if more than 1000 wide marks wait.'),
            ('gaq.status', 'stale_since', 'Time of the oldest mark. Null: everything is fresh.'),
            ('gaq.status', 'somebody_listens', 'True if a worker sleeps at the doorbell now.'),
            ('gaq.status', 'triggers_disabled', 'Number of triggers of ours that are not ENABLE ALWAYS.'),
            ('gaq.pending', 'invalidated_at', 'Time of the oldest mark of the pair.'),
            ('gaq.bell_holders', 'exclusively', 'True for a sleeping worker; false for a transaction that has marked something.'))
            given (name, column_name, said)
        join pg_attribute on attrelid = to_regclass(given.name) and attname = column_name and not attisdropped
    loop
        execute format('comment on column %s.%I is %L', thing.relation, thing.attname, thing.said);
    end loop;
end
$$;

do $$
declare
    thing record;
begin
    for thing in
        select p.oid::regprocedure as name, said
        from (values
            ('live_summaries', 'Returns the summaries of a data pass, or of some runs of it. Computes stale pairs now, and stores nothing.'),
            ('periods', 'Returns the elementary periods of a pair in order, computed now. No row: the pair is not computable.'),
            ('detector_qualities', 'Returns which fraction of each run each GAQ detector was good, MC reproducible and bad.'),
            ('explain_pair', 'Returns the QC times, the stored values and the marks of a pair. gaq-listen explain reads it.'),
            ('explain_flags', 'Returns the flags of a pair with their effective periods. gaq-listen explain reads it.'),
            ('explain_computed', 'Returns what gaq.compute computes of a pair now. gaq-listen explain reads it.'),
            ('explain_detectors', 'Returns the GAQ detectors of a pair. gaq-listen explain reads it.'),
            ('backlog', 'Returns the number of stale pairs and the time of the oldest mark. Many wide marks are counted roughly.'),
            ('freshness', 'Returns how many pairs were refreshed lately, and how many seconds they had been stale.'),
            ('differences', 'Returns those of some fresh pairs whose stored values differ from recomputed ones.'),
            ('batches_in_flight', 'Returns the number of transactions that are refreshing now.'),
            ('is_there', 'Returns whether a backend is there and is that of a worker.'),
            ('objects', 'Returns all objects of gaq-listen as they are now, with a checksum of each definition.'),
            ('recorded_name', 'Returns the name that a source table had at the end of the installation.'),
            ('renamed_sources', 'Returns the source tables and columns that were renamed since the installation. That does no harm.'),
            ('source_changes', 'Returns a sentence for each change of the source tables that makes values wrong. No row: none does.'),
            ('bell_key', 'Returns the key of the advisory lock of the doorbell.'),
            ('showable', 'Returns an instant that programs can hold, or null for one that they cannot.'),
            ('utc', 'Returns an instant of either timestamp type. A timestamp without time zone is read as UTC.'),
            ('refresh', 'Refreshes up to max_pairs due pairs in the caller''s transaction, and returns them. Needs READ COMMITTED.'),
            ('drain', 'Refreshes all stale pairs, with a commit after each batch.'),
            ('recalculate', 'Marks pairs, so that they are computed again. Returns the number of marks.'),
            ('retry_failures', 'Makes failing pairs due now, all or some of them. Returns their number.'),
            ('pause', 'Stops all refreshing until gaq.resume. Returns false if work was paused already.'),
            ('resume', 'Ends a pause. Returns false if work was not paused.'),
            ('keep_changes', 'Sets how long gaq.changes keeps a change. Returns how long it was before.'),
            ('next_due', 'Returns the seconds until a pair is due. Null: nothing is marked. Zero: a pair is due.'),
            ('fail', 'Records that a pair could not be computed, if the server ended its computation.'),
            ('lock_sources', 'Locks all source tables as a reader does, and raises lock_not_available instead of waiting.'),
            ('ring', 'Wakes sleeping workers.'),
            ('enroll', 'Registers a worker under a name. Workers call it.'),
            ('enroll_doorbell', 'Records which backend of a worker sleeps at the doorbell. Workers call it.'),
            ('report', 'Records the state and the counts of a worker. Workers call it.'),
            ('leave', 'Removes a worker from gaq.workers. Workers call it.')) given (name, said)
        join pg_proc p on p.proname = given.name and p.pronamespace = 'gaq'::regnamespace
    loop
        execute format('comment on routine %s is %L', thing.name, thing.said);
    end loop;
end
$$;

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

do $$
begin
    if exists (select from gaq.detached) then
        insert into gaq.wide_invalidations (kind, cause) values ('everything', 'installation');
        delete from gaq.paused where reason = 'detached; gaq-listen install attaches again';
        delete from gaq.detached;
    end if;
end
$$;

update gaq.failures set next_try_at = clock_timestamp() where next_try_at > clock_timestamp();

do $$ begin
    if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
end $$;

do $$ begin
    if current_setting('gaq.keep_bindings', true) is distinct from 'on' then
        delete from gaq.bindings;
        insert into gaq.bindings
        select schema_name, table_name, column_name, table_number, table_number, column_number, type, expression from gaq.bound_columns;
    end if;
end $$;

delete from gaq.granted;
insert into gaq.granted
select distinct gaq.grants_on(tgrelid) from pg_trigger where tgfoid = 'gaq.request()'::regprocedure;

insert into gaq.installed_objects as recorded (kind, name, checksum)
select kind, name, checksum from gaq.objects()
where kind <> 'trigger' or name ~ '^gaq_(insert|update|delete|truncate|request) on '
order by kind, name
on conflict (kind, name) do update
set checksum = excluded.checksum
where recorded.checksum <> excluded.checksum
  and (recorded.kind <> 'table' or (select version from gaq.installation) is distinct from 4);
delete from gaq.installed_objects r
where not exists (select from gaq.objects() o
                  where o.kind = r.kind and o.name = r.name
                    and (o.kind <> 'trigger' or o.name ~ '^gaq_(insert|update|delete|truncate|request) on '));

insert into gaq.installation (version, server_version, sources, installed_by, installed_at)
values (4, current_setting('server_version_num')::int, gaq.sources(), session_user, now())
on conflict (only_row) do update
set version = excluded.version, server_version = excluded.server_version, sources = excluded.sources,
    installed_by = excluded.installed_by, installed_at = excluded.installed_at;

reset role;

-- The sources file of the Bookkeeping in version 4, without its comments.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

set role gaq_owner;
do $$ begin perform gaq.use_sources('bookkeeping'); end $$;
reset role;

do $$ begin execute format('grant usage on schema %I to gaq_owner', current_schema()); end $$;
grant select on runs, detectors, data_passes, data_passes_runs, quality_control_flag_types, quality_control_flags,
    data_pass_quality_control_flag, quality_control_flag_verifications, global_aggregated_quality_detectors,
    quality_control_flag_effective_periods
    to gaq_owner;

set role gaq_owner;

do $$ begin
    perform gaq.require_types('
        runs.run_number: whole number
        runs.first_tf_timestamp: instant
        runs.last_tf_timestamp: instant
        runs.time_trg_start: instant
        runs.time_trg_end: instant
        runs.time_o2_start: instant
        runs.time_o2_end: instant
        detectors.id: whole number
        data_passes.id: whole number
        data_passes_runs.data_pass_id: whole number
        data_passes_runs.run_number: whole number
        quality_control_flag_types.id: whole number
        quality_control_flag_types.bad: yes or no
        quality_control_flag_types.monte_carlo_reproducible: yes or no
        quality_control_flags.id: whole number
        quality_control_flags.run_number: whole number
        quality_control_flags.detector_id: whole number
        quality_control_flags.flag_type_id: whole number
        quality_control_flags.from: instant
        quality_control_flags.to: instant
        quality_control_flags.created_at: instant
        quality_control_flags.deleted: yes or no
        data_pass_quality_control_flag.data_pass_id: whole number
        data_pass_quality_control_flag.quality_control_flag_id: whole number
        quality_control_flag_verifications.flag_id: whole number
        global_aggregated_quality_detectors.data_pass_id: whole number
        global_aggregated_quality_detectors.run_number: whole number
        global_aggregated_quality_detectors.detector_id: whole number
    ');
end $$;

create or replace view gaq.source_runs as
select run_number,
       coalesce(gaq.utc(first_tf_timestamp), gaq.utc(time_trg_start), gaq.utc(time_o2_start)) as qc_time_start,
       coalesce(gaq.utc(last_tf_timestamp), gaq.utc(time_trg_end), gaq.utc(time_o2_end)) as qc_time_end
from runs;

create or replace view gaq.source_pairs as
select data_pass_id, run_number from data_passes_runs;

create or replace view gaq.source_gaq_detectors as
select data_pass_id, run_number, detector_id from global_aggregated_quality_detectors;

create or replace view gaq.source_flags as
select f.id, l.data_pass_id, f.run_number, f.detector_id, f.flag_type_id,
       gaq.utc(f."from") as starts, gaq.utc(f."to") as ends, gaq.utc(f.created_at) as created_at
from quality_control_flags f
cross join lateral (
    select data_pass_id from data_pass_quality_control_flag where quality_control_flag_id = f.id offset 0
) l
where f.deleted::int = 0;

create or replace function gaq.source_flags_of(of_data_pass_id bigint, of_run_number bigint, on_detectors bigint[])
returns table (id bigint, detector_id bigint, flag_type_id bigint, starts timestamptz, ends timestamptz, created_at timestamptz)
language sql stable
begin atomic
    select f.id::bigint, f.detector_id::bigint, f.flag_type_id::bigint,
           gaq.utc(f."from"), gaq.utc(f."to"), gaq.utc(f.created_at)
    from quality_control_flags f
    where f.run_number = of_run_number and f.id = any (array(
        select l.quality_control_flag_id
        from data_pass_quality_control_flag l
        where l.data_pass_id = of_data_pass_id
          and l.quality_control_flag_id = any (array(
              select r.id
              from (
                  select id, detector_id
                  from quality_control_flags
                  where (run_number, id) >= (of_run_number, (
                            select quality_control_flag_id from data_pass_quality_control_flag
                            where data_pass_id >= of_data_pass_id
                            order by data_pass_id, quality_control_flag_id limit 1))
                    and (run_number, id) <= (of_run_number, (
                            select quality_control_flag_id from data_pass_quality_control_flag
                            where data_pass_id <= of_data_pass_id
                            order by data_pass_id desc, quality_control_flag_id desc limit 1))
                  offset 0
              ) r
              where r.detector_id = any (on_detectors)))))
      and f.deleted::int = 0;
end;

create or replace view gaq.source_flag_pairs as
select f.id, p.data_pass_id, p.run_number, f.detector_id, f.flag_type_id
from data_passes_runs p
cross join lateral (
    select f.id, f.detector_id, f.flag_type_id
    from quality_control_flags f
    where f.run_number = p.run_number and f.id = any (array(
        select l.quality_control_flag_id
        from data_pass_quality_control_flag l
        where l.data_pass_id = p.data_pass_id
          and l.quality_control_flag_id = any (array(
              select r.id
              from quality_control_flags r
              where (r.run_number, r.id) >= (p.run_number, (
                        select quality_control_flag_id from data_pass_quality_control_flag
                        where data_pass_id >= p.data_pass_id
                        order by data_pass_id, quality_control_flag_id limit 1))
                and (r.run_number, r.id) <= (p.run_number, (
                        select quality_control_flag_id from data_pass_quality_control_flag
                        where data_pass_id <= p.data_pass_id
                        order by data_pass_id desc, quality_control_flag_id desc limit 1))))))
      and f.deleted::int = 0
    offset 0
) f;

create or replace view gaq.source_flag_types as
select id, name::text, bad::int <> 0 as bad, monte_carlo_reproducible::int <> 0 as mc_reproducible
from quality_control_flag_types;

create or replace view gaq.source_verifications as
select flag_id from quality_control_flag_verifications;

create or replace view gaq.source_data_passes as
select id, name::text from data_passes;

create or replace view gaq.source_detectors as
select id, name::text from detectors;

create or replace view gaq.source_outdated_periods as
select distinct f.id as flag_id, l.data_pass_id, f.run_number
from quality_control_flag_effective_periods p
join quality_control_flags f on f.id = p.flag_id
join data_pass_quality_control_flag l on l.quality_control_flag_id = f.id
join quality_control_flags later on later.run_number = f.run_number and later.detector_id = f.detector_id
     and later.deleted::int <> 0 and (gaq.utc(later.created_at), later.id) > (gaq.utc(f.created_at), f.id)
join data_pass_quality_control_flag later_link
     on later_link.quality_control_flag_id = later.id and later_link.data_pass_id = l.data_pass_id
where f.deleted::int = 0
  and (gaq.utc(p."to") = gaq.utc(later."from") and gaq.utc(p."to") is distinct from gaq.utc(f."to")
       or gaq.utc(p."from") = gaq.utc(later."to") and gaq.utc(p."from") is distinct from gaq.utc(f."from"));

create or replace view gaq.source_flag_details as
select id, '#' || created_by_id as created_by, comment::text from quality_control_flags;

create or replace view gaq.source_invalidations as
select w.id as wide_id, p.data_pass_id, w.place as run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
cross join lateral (
    select l.data_pass_id::bigint from data_pass_quality_control_flag l where l.quality_control_flag_id = w.key
    union all
    select m.place from gaq.wide_invalidations m where m.key = w.key and m.kind = 'flag in data pass' and m.place is not null
) p
where w.kind = 'flag in run'
union all
select w.id, w.place, r.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
cross join lateral (
    select f.run_number::bigint from quality_control_flags f where f.id = w.key and f.deleted::int = 0
    union all
    select m.place from gaq.wide_invalidations m where m.key = w.key and m.kind = 'flag in run' and m.place is not null
) r
where w.kind = 'flag in data pass';

create or replace function gaq.as_run(runs) returns gaq.a_run language sql immutable parallel safe
begin atomic
    select row(($1).run_number::bigint,
               coalesce(gaq.utc(($1).first_tf_timestamp), gaq.utc(($1).time_trg_start), gaq.utc(($1).time_o2_start)),
               coalesce(gaq.utc(($1).last_tf_timestamp), gaq.utc(($1).time_trg_end), gaq.utc(($1).time_o2_end)))::gaq.a_run;
end;

create or replace function gaq.as_pair(data_passes_runs) returns gaq.a_pair language sql immutable parallel safe
begin atomic
    select row(($1).data_pass_id::bigint,
               ($1).run_number::bigint)::gaq.a_pair;
end;

create or replace function gaq.as_gaq_detector(global_aggregated_quality_detectors) returns gaq.a_gaq_detector language sql immutable parallel safe
begin atomic
    select row(($1).data_pass_id::bigint,
               ($1).run_number::bigint,
               ($1).detector_id::bigint)::gaq.a_gaq_detector;
end;

create or replace function gaq.as_flag(quality_control_flags) returns gaq.a_flag language sql immutable parallel safe
begin atomic
    select row(($1).id::bigint,
               null::bigint,
               ($1).run_number::bigint,
               ($1).detector_id::bigint,
               ($1).flag_type_id::bigint,
               gaq.utc(($1)."from"),
               gaq.utc(($1)."to"),
               gaq.utc(($1).created_at),
               ($1).run_number is not null and ($1).deleted::int = 0)::gaq.a_flag;
end;

create or replace function gaq.as_flag_link(data_pass_quality_control_flag) returns gaq.a_flag_link language sql immutable parallel safe
begin atomic
    select row(($1).quality_control_flag_id::bigint,
               ($1).data_pass_id::bigint)::gaq.a_flag_link;
end;

create or replace function gaq.as_flag_type(quality_control_flag_types) returns gaq.a_flag_type language sql immutable parallel safe
begin atomic
    select row(($1).id::bigint,
               ($1).bad::int <> 0,
               ($1).monte_carlo_reproducible::int <> 0)::gaq.a_flag_type;
end;

create or replace function gaq.as_verification(quality_control_flag_verifications) returns gaq.a_verification language sql immutable parallel safe
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
        insert into gaq.wide_invalidations (kind, key, place, cause)
        select 'flag in run', id, run_number, 'flag'
        from (select (gaq.as_flag(n)).* from new_rows n) flag where counts;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, place, cause)
        select 'flag in run', id, run_number, 'flag'
        from (select (gaq.as_flag(o)).* from old_rows o) flag where counts;
    else
        insert into gaq.wide_invalidations (kind, key, place, cause)
        with before as (
            select id, run_number, detector_id, flag_type_id, starts, ends, created_at
            from (select (gaq.as_flag(o)).* from old_rows o) flag where counts
        ), after as (
            select id, run_number, detector_id, flag_type_id, starts, ends, created_at
            from (select (gaq.as_flag(n)).* from new_rows n) flag where counts
        )
        select distinct 'flag in run', id, run_number, 'flag'
        from ((table before except table after) union all (table after except table before)) changed;
    end if;
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;

create or replace function gaq.mark_qc_flag_links() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if to_regproc('gaq.as_flag_link') is null then
        perform gaq.mark_unbound();
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, place, cause)
        select 'flag in data pass', flag_id, data_pass_id, 'flag'
        from (select (gaq.as_flag_link(n)).* from new_rows n) link where data_pass_id is not null;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, place, cause)
        select 'flag in data pass', flag_id, data_pass_id, 'flag'
        from (select (gaq.as_flag_link(o)).* from old_rows o) link where data_pass_id is not null;
    else
        insert into gaq.wide_invalidations (kind, key, place, cause)
        with before as (select * from (select (gaq.as_flag_link(o)).* from old_rows o) link where data_pass_id is not null),
             after as (select * from (select (gaq.as_flag_link(n)).* from new_rows n) link where data_pass_id is not null)
        select 'flag in data pass', flag_id, data_pass_id, 'flag'
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

create or replace trigger gaq_insert after insert on quality_control_flags
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flags();
create or replace trigger gaq_update after update on quality_control_flags
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flags();
create or replace trigger gaq_delete after delete on quality_control_flags
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flags();
create or replace trigger gaq_truncate after truncate on quality_control_flags
    for each statement execute function gaq.mark_everything();
alter table quality_control_flags
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

create or replace trigger gaq_insert after insert on data_pass_quality_control_flag
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flag_links();
create or replace trigger gaq_update after update on data_pass_quality_control_flag
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flag_links();
create or replace trigger gaq_delete after delete on data_pass_quality_control_flag
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flag_links();
create or replace trigger gaq_truncate after truncate on data_pass_quality_control_flag
    for each statement execute function gaq.mark_everything();
alter table data_pass_quality_control_flag
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

create or replace trigger gaq_insert after insert on global_aggregated_quality_detectors
    referencing new table as new_rows for each statement execute function gaq.mark_gaq_detectors();
create or replace trigger gaq_update after update on global_aggregated_quality_detectors
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_gaq_detectors();
create or replace trigger gaq_delete after delete on global_aggregated_quality_detectors
    referencing old table as old_rows for each statement execute function gaq.mark_gaq_detectors();
create or replace trigger gaq_truncate after truncate on global_aggregated_quality_detectors
    for each statement execute function gaq.mark_everything();
alter table global_aggregated_quality_detectors
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

create or replace trigger gaq_insert after insert on data_passes_runs
    referencing new table as new_rows for each statement execute function gaq.mark_data_pass_runs();
create or replace trigger gaq_update after update on data_passes_runs
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_data_pass_runs();
create or replace trigger gaq_delete after delete on data_passes_runs
    referencing old table as old_rows for each statement execute function gaq.mark_data_pass_runs();
create or replace trigger gaq_truncate after truncate on data_passes_runs
    for each statement execute function gaq.mark_everything();
alter table data_passes_runs
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

create or replace trigger gaq_insert after insert on quality_control_flag_verifications
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flag_verifications();
create or replace trigger gaq_update after update on quality_control_flag_verifications
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flag_verifications();
create or replace trigger gaq_delete after delete on quality_control_flag_verifications
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flag_verifications();
create or replace trigger gaq_truncate after truncate on quality_control_flag_verifications
    for each statement execute function gaq.mark_everything();
alter table quality_control_flag_verifications
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

create or replace trigger gaq_insert after insert on quality_control_flag_types
    referencing new table as new_rows for each statement execute function gaq.mark_qc_flag_types();
create or replace trigger gaq_update after update on quality_control_flag_types
    referencing old table as old_rows new table as new_rows for each statement execute function gaq.mark_qc_flag_types();
create or replace trigger gaq_delete after delete on quality_control_flag_types
    referencing old table as old_rows for each statement execute function gaq.mark_qc_flag_types();
create or replace trigger gaq_truncate after truncate on quality_control_flag_types
    for each statement execute function gaq.mark_everything();
alter table quality_control_flag_types
    enable always trigger gaq_insert, enable always trigger gaq_update,
    enable always trigger gaq_delete, enable always trigger gaq_truncate;

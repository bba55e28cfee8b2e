-- The sources file of the Bookkeeping in versions 2 and 3, without its comments.

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
    data_pass_quality_control_flag, quality_control_flag_verifications, global_aggregated_quality_detectors
    to gaq_owner;

set role gaq_owner;

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

create or replace view gaq.source_flag_types as
select id, name, bad::int <> 0 as bad, monte_carlo_reproducible::int <> 0 as mc_reproducible
from quality_control_flag_types;

create or replace view gaq.source_verifications as
select flag_id from quality_control_flag_verifications;

create or replace view gaq.source_data_passes as
select id, name from data_passes;

create or replace view gaq.source_detectors as
select id, name from detectors;

create or replace view gaq.source_flag_details as
select id, '#' || created_by_id as created_by, comment from quality_control_flags;

create index if not exists wide_invalidations_of_flags on gaq.wide_invalidations (key, kind) where place is not null;

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

create or replace function gaq.mark_qc_flags() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, place, cause)
        select 'flag in run', id, run_number, 'flag'
        from new_rows where deleted::int = 0 and run_number is not null;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, place, cause)
        select 'flag in run', id, run_number, 'flag'
        from old_rows where deleted::int = 0 and run_number is not null;
    else
        insert into gaq.wide_invalidations (kind, key, place, cause)
        with before as (
            select id, run_number, detector_id, flag_type_id, "from", "to", created_at
            from old_rows where deleted::int = 0 and run_number is not null
        ), after as (
            select id, run_number, detector_id, flag_type_id, "from", "to", created_at
            from new_rows where deleted::int = 0 and run_number is not null
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
    if tg_op = 'INSERT' then
        insert into gaq.wide_invalidations (kind, key, place, cause)
        select 'flag in data pass', quality_control_flag_id, data_pass_id, 'flag' from new_rows
        where data_pass_id is not null;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, place, cause)
        select 'flag in data pass', quality_control_flag_id, data_pass_id, 'flag' from old_rows
        where data_pass_id is not null;
    else
        insert into gaq.wide_invalidations (kind, key, place, cause)
        with before as (select quality_control_flag_id, data_pass_id from old_rows where data_pass_id is not null),
             after as (select quality_control_flag_id, data_pass_id from new_rows where data_pass_id is not null)
        select 'flag in data pass', quality_control_flag_id, data_pass_id, 'flag'
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
        from new_rows
        where coalesce(gaq.utc(first_tf_timestamp), gaq.utc(time_trg_start), gaq.utc(time_o2_start),
                       gaq.utc(last_tf_timestamp), gaq.utc(time_trg_end), gaq.utc(time_o2_end)) is not null;
    elsif tg_op = 'DELETE' then
        insert into gaq.wide_invalidations (kind, key, cause)
        select 'run', run_number, 'run times'
        from old_rows
        where coalesce(gaq.utc(first_tf_timestamp), gaq.utc(time_trg_start), gaq.utc(time_o2_start),
                       gaq.utc(last_tf_timestamp), gaq.utc(time_trg_end), gaq.utc(time_o2_end)) is not null;
    else
        insert into gaq.wide_invalidations (kind, key, cause)
        with before as (
            select run_number,
                   coalesce(gaq.utc(first_tf_timestamp), gaq.utc(time_trg_start), gaq.utc(time_o2_start)),
                   coalesce(gaq.utc(last_tf_timestamp), gaq.utc(time_trg_end), gaq.utc(time_o2_end))
            from old_rows
        ), after as (
            select run_number,
                   coalesce(gaq.utc(first_tf_timestamp), gaq.utc(time_trg_start), gaq.utc(time_o2_start)),
                   coalesce(gaq.utc(last_tf_timestamp), gaq.utc(time_trg_end), gaq.utc(time_o2_end))
            from new_rows
        )
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
        with before as (select id, bad, monte_carlo_reproducible from old_rows),
             after as (select id, bad, monte_carlo_reproducible from new_rows)
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

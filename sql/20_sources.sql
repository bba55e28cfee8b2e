-- The source tables: the only file that names them. A database with other names adapts this file and no other.
-- Three parts: views through which everything else reads them; which pairs a wide mark stands for; the triggers that mark.
-- Lines that begin with [transaction] say where the installer commits, so that it never locks two tables at a time; lines
-- that begin with [index] name the indexes that the views below need, for gaq-listen install --plan.
-- The tables are looked for in schema public, or in the schema that the setting gaq.source_schema names:
--   PGOPTIONS='-c gaq.source_schema=bookkeeping' psql -1 -f 20_sources.sql

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

-- gaq_owner reads, and never writes. (It needs no right to be called by the triggers.)
do $$ begin execute format('grant usage on schema %I to gaq_owner', current_schema()); end $$;
grant select on runs, detectors, data_passes, data_pass_runs, qc_flag_types, qc_flags, qc_flag_verifications, gaq_detectors
    to gaq_owner;

-- [index] qc_flags (data_pass_id, run_number): the flags of a pair
-- [index] qc_flags (flag_type_id): the pairs that a flag type's change concerns
-- [index] qc_flag_verifications (flag_id): whether a flag is verified
-- [index] gaq_detectors (data_pass_id, run_number): the detectors of a pair
-- [index] data_pass_runs (data_pass_id, run_number): whether a pair exists
-- [index] data_pass_runs (run_number): the pairs that a run's change concerns
-- [index] runs (run_number): the window of a pair

set role gaq_owner;

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

-- Who set a flag, and what they wrote: only gaq.explain reads it.
create or replace view gaq.source_flag_details as
select id, created_by, comment from qc_flags;


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
-- from it. They run as their owner: a writer needs no right on schema gaq. At the end they try the doorbell's lock, and
-- ring only when a sleeper has it: see gaq.ring in 10_marks.sql.

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
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;


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
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;


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
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;


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
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;


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
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;


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
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$$;


-- TRUNCATE tells no rows, so everything is marked.
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
reset role;


-- The triggers. CREATE TRIGGER waits for the transactions that write to the table, and lets no new ones begin while it
-- waits: hence the lock_timeout. ENABLE ALWAYS: also where session_replication_role = replica silences ordinary triggers.

-- [transaction] triggers on qc_flags
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

-- [transaction] triggers on gaq_detectors
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

-- [transaction] triggers on data_pass_runs
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

-- [transaction] triggers on qc_flag_verifications
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

-- [transaction] triggers on runs
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

-- [transaction] triggers on qc_flag_types
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

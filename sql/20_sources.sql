-- The source tables, in the reference shape. No other file names them. A database with other names needs another sources
-- file in place of this one. sources_bookkeeping.sql is one, and docs/guides/dba.md explains how to write a third.
-- The file has four parts: the views through which all other SQL reads the source tables, the expansion of the kinds of
-- marks that only this shape has, the accessors, and the triggers.
-- The installer commits at lines that begin with [transaction], so that it never locks two tables at a time. Lines that
-- begin with [index] name the indexes that the views below need, for gaq-listen install --plan.
-- The tables are in schema public, or in the schema that the setting gaq.source_schema names:
--   PGOPTIONS='-c gaq.source_schema=bookkeeping' psql -1 -f 20_sources.sql

do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

set role gaq_owner;
do $$ begin perform gaq.use_sources('reference'); end $$;
reset role;

-- gaq_owner reads the source tables, and never writes to them. (The triggers call functions of gaq_owner without any
-- further right.)
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

-- Types. The views return ids and run numbers without a cast, because PostgreSQL does not find an index on them through a
-- cast. A function that returns, stores or collects an id casts it to bigint. The views return all other columns in the
-- type of gaq-listen: names as text (any type can be cast to text; char(n) loses its padding), instants as timestamptz
-- (gaq.utc reads a timestamp as UTC, whatever the session's time zone), yes and no as bool (::int takes boolean and
-- numbers). This file and the plan refuse a column whose type they cannot read.
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


-- 1. What is read -----------------------------------------------------------------------------------------------------

create or replace view gaq.source_runs as
select run_number, gaq.utc(qc_time_start) as qc_time_start, gaq.utc(qc_time_end) as qc_time_end from runs;

-- A pair exists exactly while this view has its row.
create or replace view gaq.source_pairs as
select data_pass_id, run_number from data_pass_runs;

create or replace view gaq.source_gaq_detectors as
select data_pass_id, run_number, detector_id from gaq_detectors;

-- The flags that count: those that have a data pass and are not deleted.
create or replace view gaq.source_flags as
select id, data_pass_id, run_number, detector_id, flag_type_id,
       gaq.utc("from") as starts, gaq.utc("to") as ends, gaq.utc(created_at) as created_at
from qc_flags
where data_pass_id is not null and deleted::int = 0;

-- The same flags, if they are on GAQ detectors. gaq.marked_pairs in 50_read.sql reads this view for a reader of some
-- pairs while many marks wait.
create or replace view gaq.source_flag_pairs as
select id, data_pass_id, run_number, detector_id, flag_type_id
from gaq.source_flags f
where exists (
    select from gaq_detectors d
    where d.data_pass_id = f.data_pass_id and d.run_number = f.run_number and d.detector_id = f.detector_id
);

-- Returns the same flags of one pair, on the given detectors, for the computation. PostgreSQL inlines the function.
-- (offset 0 is a planner fence, see docs/architecture.md. Without it, PostgreSQL might use an index of detectors, because
-- that could look as good as the index of the pair.)
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

-- Returns all flags of a data pass on the given detectors.
create or replace function gaq.source_flags_of_data_pass(of_data_pass_id bigint, on_detectors bigint[])
returns table (
    run_number bigint, id bigint, detector_id bigint, flag_type_id bigint,
    starts timestamptz, ends timestamptz, created_at timestamptz
)
language sql stable
begin atomic
    select f.run_number::bigint, f.id::bigint, f.detector_id::bigint, f.flag_type_id::bigint, f.starts, f.ends, f.created_at
    from gaq.source_flags f
    where f.data_pass_id = of_data_pass_id and f.detector_id = any (on_detectors);
end;

-- Returns whether the computation reads these, instead of the flags of the given number of pairs, one pair after another.
-- It never does here, because an index finds the flags of a pair.
create or replace function gaq.source_reads_data_pass(of_data_pass_id bigint, for_pairs bigint) returns bool
language sql stable
begin atomic
    select false;
end;

create or replace view gaq.source_flag_types as
select id, name::text, bad::int <> 0 as bad, mc_reproducible::int <> 0 as mc_reproducible from qc_flag_types;

create or replace view gaq.source_verifications as
select flag_id from qc_flag_verifications;

-- Names, for people.
create or replace view gaq.source_data_passes as
select id, name::text from data_passes;

create or replace view gaq.source_detectors as
select id, name::text from detectors;

-- Flags whose stored effective periods begin or end at a bound of a later, deleted flag. The reference shape stores no
-- effective periods, so the view is empty. Only gaq-listen verify --original reads it.
create or replace view gaq.source_outdated_periods as
select null::bigint as flag_id, null::bigint as data_pass_id, null::bigint as run_number where false;

-- Who set a flag, and the comment of that person. Only gaq.explain reads this view.
create or replace view gaq.source_flag_details as
select id, created_by::text, comment::text from qc_flags;


-- 2. What marks of its own kinds stand for ------------------------------------------------------------------------------
-- This shape has no kinds of its own, because 25_expansion.sql expands every kind of mark that its triggers write.

create or replace view gaq.source_invalidations as
select null::bigint as wide_id, null::bigint as data_pass_id, null::bigint as run_number,
       null::timestamptz as invalidated_at, null::text as cause
where false;

create or replace view gaq.source_marked_pairs as
select null::bigint as data_pass_id, null::bigint as run_number, null::timestamptz as invalidated_at
where false;


-- 3. What counts of a row ----------------------------------------------------------------------------------------------
-- The accessors return the same columns of one row. The triggers call them (see gaq.a_flag and the like in
-- 15_marking.sql). They are bound to columns by number, so a renamed column causes no error for a writer.

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


-- 4. What marks ---------------------------------------------------------------------------------------------------------
-- gaq.create_marking in 15_marking.sql describes the functions that it creates. 22_marking.sql has the functions that all
-- shapes share.

-- A flag contains its pair.
do $$ begin
    perform gaq.create_marking('mark_qc_flags', 'as_flag', 'counts', 'invalidations (data_pass_id, run_number, cause)',
                               'data_pass_id, run_number, ''flag''', once => 'data_pass_id, run_number');
end $$;

reset role;


-- The triggers. CREATE TRIGGER waits for the transactions that write to the table, and blocks new ones while it waits. So
-- the installer sets a lock_timeout. With ENABLE ALWAYS the triggers also run where session_replication_role = replica
-- disables ordinary triggers.

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

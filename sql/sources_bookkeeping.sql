-- The source tables, in the shape that ALICE's Bookkeeping has after a move from MariaDB (pgloader keeps the names). This
-- file takes the place of 20_sources.sql. bookkeeping_tables.sql shows the shape.
-- The file has four parts: the views through which all other SQL reads the source tables, the expansion of the kinds of
-- marks that only this shape has, the accessors, and the triggers.
-- The installer commits at lines that begin with [transaction], so that it never locks two tables at a time. Lines that
-- begin with [index] name the indexes that the views below need, for gaq-listen install --plan.
-- The tables are in schema public, or in the schema that the setting gaq.source_schema names:
--   PGOPTIONS='-c gaq.source_schema=bookkeeping' psql -1 -f sources_bookkeeping.sql

do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

set role gaq_owner;
do $$ begin perform gaq.use_sources('bookkeeping'); end $$;
reset role;

-- gaq_owner reads the source tables, and never writes to them. (The triggers call functions of gaq_owner without any
-- further right.)
do $$ begin execute format('grant usage on schema %I to gaq_owner', current_schema()); end $$;
grant select on runs, detectors, data_passes, data_passes_runs, quality_control_flag_types, quality_control_flags,
    data_pass_quality_control_flag, quality_control_flag_verifications, global_aggregated_quality_detectors,
    quality_control_flag_effective_periods
    to gaq_owner;

-- [index] quality_control_flags (run_number; id, detector_id): the flags of a pair
-- [index] data_pass_quality_control_flag (data_pass_id, quality_control_flag_id): the flags of a data pass
-- [index] quality_control_flags (flag_type_id): the pairs that a flag type's change concerns
-- [index] quality_control_flags (id): the pairs that a flag's change concerns
-- [index] data_pass_quality_control_flag (quality_control_flag_id): the data pass of a flag
-- [index] quality_control_flag_verifications (flag_id): whether a flag is verified
-- [index] global_aggregated_quality_detectors (data_pass_id, run_number): the detectors of a pair
-- [index] data_passes_runs (data_pass_id, run_number): whether a pair exists
-- [index] data_passes_runs (run_number): the pairs that a run's change concerns
-- [index] runs (run_number): the window of a pair

-- Lines that begin with [trigger] name a trigger of the application that a move loses, and the script that brings it back.
-- [trigger] runs.qcf_boundaries_update_on_run_timestamps_update: bookkeeping_boundaries

-- Lines that begin with [generated] name columns that gaq-listen does not read, but that other programs expect to be
-- generated in this way.
-- [generated] runs.qc_time_start: coalesce(first_tf_timestamp, time_trg_start, time_o2_start)
-- [generated] runs.qc_time_end: coalesce(last_tf_timestamp, time_trg_end, time_o2_end)

set role gaq_owner;

-- Types. The views return ids and run numbers without a cast, because PostgreSQL does not find an index on them through a
-- cast. A function that returns, stores or collects an id casts it to bigint. The views return all other columns in the
-- type of gaq-listen: names as text (any type can be cast to text; char(n) loses its padding), instants as timestamptz
-- (gaq.utc reads a timestamp as UTC, whatever the session's time zone), yes and no as bool (::int takes boolean and
-- numbers). This file and the plan refuse a column whose type they cannot read.
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


-- 1. What is read -----------------------------------------------------------------------------------------------------

-- The view and the accessor compute the QC times from the columns that define them, and do not read qc_time_start and
-- qc_time_end. These are virtual columns in MariaDB. After the move they may be stored, virtual, plain columns that
-- nothing keeps up to date, or missing.
create or replace view gaq.source_runs as
select run_number,
       coalesce(gaq.utc(first_tf_timestamp), gaq.utc(time_trg_start), gaq.utc(time_o2_start)) as qc_time_start,
       coalesce(gaq.utc(last_tf_timestamp), gaq.utc(time_trg_end), gaq.utc(time_o2_end)) as qc_time_end
from runs;

-- A pair exists exactly while this view has its row.
create or replace view gaq.source_pairs as
select data_pass_id, run_number from data_passes_runs;

-- No constraint prevents that a detector is listed twice. A detector counts once in any case, see 30_compute.sql.
create or replace view gaq.source_gaq_detectors as
select data_pass_id, run_number, detector_id from global_aggregated_quality_detectors;

-- The flags that count: those that are linked to a data pass and are not deleted. The view has a row for each data pass
-- to which a flag is linked.
-- (offset 0 is a planner fence, see docs/architecture.md. Without it, a plan that was made without statistics, after a
-- move, would read all flags of the data pass for each pair.)
create or replace view gaq.source_flags as
select f.id, l.data_pass_id, f.run_number, f.detector_id, f.flag_type_id,
       gaq.utc(f."from") as starts, gaq.utc(f."to") as ends, gaq.utc(f.created_at) as created_at
from quality_control_flags f
cross join lateral (
    select data_pass_id from data_pass_quality_control_flag where quality_control_flag_id = f.id offset 0
) l
where f.deleted::int = 0;

-- Returns the same flags of one pair, on the given detectors, for the computation. PostgreSQL inlines the function.
-- A run has flags of every data pass, and most of these belong to other pairs. So the statement finds the flags of the
-- pair with three indexes, before it reads a row of the large table:
-- First it finds the ids of the flags of the run on these detectors, between the first and the last flag id of the data
-- pass. If experts flag one data pass after another, few other flags are between these ids. Then it keeps the ids that
-- are linked to the data pass. Then it reads these flags.
-- Each step is a planner fence, see docs/architecture.md. With "id between" instead of a comparison of rows, PostgreSQL
-- could use the primary key and read all flags of the data pass. The statement finds the first and the last link in the
-- order of data passes, because in the order of flags PostgreSQL could read all of an index of flags. (For a data pass
-- without links it finds a link of the next one. Then the second step finds nothing.)
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

-- Returns all flags of a data pass on the given detectors. The statement finds them by their links, and reads each flag by
-- the primary key.
create or replace function gaq.source_flags_of_data_pass(of_data_pass_id bigint, on_detectors bigint[])
returns table (
    run_number bigint, id bigint, detector_id bigint, flag_type_id bigint,
    starts timestamptz, ends timestamptz, created_at timestamptz
)
language sql stable
begin atomic
    select f.run_number::bigint, f.id::bigint, f.detector_id::bigint, f.flag_type_id::bigint,
           gaq.utc(f."from"), gaq.utc(f."to"), gaq.utc(f.created_at)
    from quality_control_flags f
    where f.id = any (array(
              select quality_control_flag_id from data_pass_quality_control_flag where data_pass_id = of_data_pass_id))
      and f.detector_id = any (on_detectors) and f.deleted::int = 0;
end;

-- Returns whether the computation reads all flags of a data pass, instead of those of the given number of its pairs, one
-- pair after another. All flags cost less for a third or more of the runs of the data pass. (Measured with 12 detectors, of
-- which 4 to 12 matter, and with ids in the order of data passes and in no order.) The function counts only as many runs
-- as it has to, and none for a few pairs.
create or replace function gaq.source_reads_data_pass(of_data_pass_id bigint, for_pairs bigint) returns bool
language sql stable
begin atomic
    select for_pairs >= 10 and 3 * for_pairs >= (
        select count(*)
        from (
            select from data_passes_runs where data_pass_id >= of_data_pass_id and data_pass_id <= of_data_pass_id
            order by data_pass_id, run_number      -- a planner fence: by the index of pairs
            limit 3 * for_pairs + 1
        ) run
    );
end;

-- The flags of the pairs that exist, on GAQ detectors. The view finds them in the same way, pair by pair.
-- gaq.marked_pairs in 50_read.sql reads the view for a reader of some pairs while many marks wait. (This is a view,
-- because with the function the reader would need rights on the tables.)
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
      and f.detector_id = any (array(
          select detector_id from global_aggregated_quality_detectors
          where data_pass_id = p.data_pass_id and run_number = p.run_number))
    offset 0
) f;

create or replace view gaq.source_flag_types as
select id, name::text, bad::int <> 0 as bad, monte_carlo_reproducible::int <> 0 as mc_reproducible
from quality_control_flag_types;

create or replace view gaq.source_verifications as
select flag_id from quality_control_flag_verifications;

-- Names, for people.
create or replace view gaq.source_data_passes as
select id, name::text from data_passes;

create or replace view gaq.source_detectors as
select id, name::text from detectors;

-- Flags whose stored effective periods begin or end at a bound of a later, deleted flag. The application computes such
-- periods again when a user deletes the later flag, but its trigger on runs does not: see bookkeeping_boundaries.sql.
-- Only gaq-listen verify --original reads this view.
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

-- Who set a flag (the number of a user), and the comment of that user. Only gaq.explain reads this view.
create or replace view gaq.source_flag_details as
select id, '#' || created_by_id as created_by, comment::text from quality_control_flags;


-- 2. What marks of its own kinds stand for ------------------------------------------------------------------------------
-- The row of a flag contains the run, and the link of a flag contains the data pass. Neither contains the pair. If a
-- trigger looked up the other half, it would miss what a concurrent transaction has not committed yet. (For example, one
-- transaction moves the flag to another run while another one links it.) So a change of a flag writes a mark 'flag in
-- run', with the run in which the flag counted or counts. A change of a link writes a mark 'flag in data pass'. The view
-- below combines the two halves later.
-- By then the other half may be deleted as well: if a link is removed while its flag is deleted, no table contains the
-- pair any more. But a deleted half has left a mark. So the view looks for the other half in the tables and in the
-- pending marks.
-- This is enough even if a worker has already folded the mark of the other half. The worker then combined that mark
-- either with the mark of this half or, if this change was not yet committed, with the row of this half in its table. So
-- the pair was marked then, and computed without the other half. Without the other half, this half does not matter.
-- (It would be simpler to mark all pairs of the run or of the data pass, but that would mark hundreds of pairs for each
-- flag.)

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

-- The same for a reader, for any number of pending marks. If few marks are pending, the view finds the pairs of each
-- mark, as above. If there are many, the view finds the marks of each existing pair:
--   - of the flags that marks of the run name, those that are linked to the data pass;
--   - of the flags of the run, those that marks of the data pass name;
--   - the flags that both kinds of marks name.
-- (The view reads marks of the run only from the first to the last flag that can matter. These are the bounds of the
-- links and of the marks of the data pass.)
create or replace view gaq.source_marked_pairs as
select few.data_pass_id, few.run_number::bigint, few.invalidated_at
from (
    select l.data_pass_id::bigint, r.place as run_number, r.invalidated_at
    from gaq.first_placed_marks('flag in run', 500) r
    cross join lateral (
        select data_pass_id from data_pass_quality_control_flag where quality_control_flag_id = r.key offset 0
    ) l
    union all
    select d.place, f.run_number, d.invalidated_at
    from gaq.first_placed_marks('flag in data pass', 500) d
    cross join lateral (
        select run_number from quality_control_flags f where f.id = d.key and f.deleted::int = 0 offset 0
    ) f
    union all
    select d.place, r.place, least(r.invalidated_at, d.invalidated_at)
    from gaq.first_placed_marks('flag in run', 500) r
    join gaq.first_placed_marks('flag in data pass', 500) d using (key)
    where r.place is not null and d.place is not null
) few
where gaq.wide_marks('flag in run', 501) + gaq.wide_marks('flag in data pass', 501) <= 500
union all
select p.data_pass_id, p.run_number, m.invalidated_at
from (
    select data_pass_id::bigint, run_number::bigint from data_passes_runs
    where data_pass_id::bigint = data_pass_id and run_number::bigint = run_number
      and gaq.wide_marks('flag in run', 501) + gaq.wide_marks('flag in data pass', 501) > 500
) p
cross join lateral (
    select least(
               case when linked <> '{}' or named_twice <> '{}'
                    then gaq.oldest_mark_at('flag in run', p.run_number, linked || named_twice) end,
               case when placed <> '{}' or named_twice <> '{}'
                    then gaq.oldest_mark_at('flag in data pass', p.data_pass_id, placed || named_twice) end
           ) as invalidated_at
    from (
        select bounds,
               gaq.keys_marked_at('flag in run', p.run_number,
                                  least(first_link::bigint, bounds[1]), greatest(last_link::bigint, bounds[2])) as named
        from (
            select (select quality_control_flag_id from data_pass_quality_control_flag
                    where data_pass_id >= p.data_pass_id
                    order by data_pass_id, quality_control_flag_id limit 1) as first_link,
                   (select quality_control_flag_id from data_pass_quality_control_flag
                    where data_pass_id <= p.data_pass_id
                    order by data_pass_id desc, quality_control_flag_id desc limit 1) as last_link,
                   gaq.bounds_marked_at('flag in data pass', p.data_pass_id) as bounds
            offset 0
        ) ends
        offset 0
    ) of_run
    cross join lateral (
        select array(
                   select quality_control_flag_id::bigint from data_pass_quality_control_flag
                   where data_pass_id = p.data_pass_id and quality_control_flag_id = any (named)
               ) as linked,
               case when named <> '{}' and bounds is not null
                    then gaq.which_are_marked_at('flag in data pass', p.data_pass_id, named) else '{}' end as named_twice,
               case when bounds is not null then array(
                   select f.id::bigint from quality_control_flags f
                   where f.run_number = p.run_number and f.deleted::int = 0
                     and f.id = any (gaq.which_are_marked_at('flag in data pass', p.data_pass_id, array(
                         select id::bigint
                         from (select id from quality_control_flags where run_number = p.run_number offset 0) r
                         where id between bounds[1] and bounds[2])))
               ) else '{}' end as placed
        offset 0
    ) halves
    offset 0
) m
where m.invalidated_at is not null;


-- 3. What counts of a row ----------------------------------------------------------------------------------------------
-- The accessors return the same columns of one row. The triggers call them (see gaq.a_flag and the like in
-- 15_marking.sql). They are bound to columns by number, so a renamed column causes no error for a writer.

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

-- (The row of a flag does not contain its data pass.)
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


-- 4. What marks ---------------------------------------------------------------------------------------------------------
-- gaq.create_marking in 15_marking.sql describes the functions that it creates. 22_marking.sql has the functions that all
-- shapes share.

do $$ begin
    -- A flag contains its run. Bookkeeping inserts a flag first and links it in the next statement, so a new flag usually
    -- has no pair yet.
    perform gaq.create_marking('mark_qc_flags', 'as_flag', 'counts', 'wide_invalidations (kind, key, place, cause)',
                               '''flag in run'', id, run_number, ''flag''');
    -- A link contains the flag and the data pass.
    perform gaq.create_marking('mark_qc_flag_links', 'as_flag_link', 'data_pass_id is not null',
                               'wide_invalidations (kind, key, place, cause)',
                               '''flag in data pass'', flag_id, data_pass_id, ''flag''');
end $$;

reset role;


-- The triggers. CREATE TRIGGER waits for the transactions that write to the table, and blocks new ones while it waits. So
-- the installer sets a lock_timeout. With ENABLE ALWAYS the triggers also run where session_replication_role = replica
-- disables ordinary triggers.

-- [transaction] triggers on quality_control_flags
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

-- [transaction] triggers on data_pass_quality_control_flag
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

-- [transaction] triggers on global_aggregated_quality_detectors
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

-- [transaction] triggers on data_passes_runs
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

-- [transaction] triggers on quality_control_flag_verifications
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

-- [transaction] triggers on quality_control_flag_types
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

-- The source tables, in the shape of ALICE's Bookkeeping as it comes from MariaDB (pgloader keeps its names): takes the place
-- of 20_sources.sql. bookkeeping_tables.sql shows the shape.
-- Four parts: views through which everything else reads them; what its own kinds of marks stand for; what counts of a row; the
-- triggers that mark.
-- Lines that begin with [transaction] say where the installer commits, so that it never locks two tables at a time; lines
-- that begin with [index] name the indexes that the views below need, for gaq-listen install --plan.
-- The tables are looked for in schema public, or in the schema that the setting gaq.source_schema names:
--   PGOPTIONS='-c gaq.source_schema=bookkeeping' psql -1 -f sources_bookkeeping.sql

do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

set role gaq_owner;
do $$ begin perform gaq.use_sources('bookkeeping'); end $$;
reset role;

-- gaq_owner reads, and never writes. (It needs no right to be called by the triggers.)
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

-- Lines that begin with [generated] name columns that we do without, but that others expect to be generated like this.
-- [generated] runs.qc_time_start: coalesce(first_tf_timestamp, time_trg_start, time_o2_start)
-- [generated] runs.qc_time_end: coalesce(last_tf_timestamp, time_trg_end, time_o2_end)

set role gaq_owner;

-- Types. Ids and run numbers leave the views as they are, because an index on them is not found through a cast; whoever
-- returns, stores or collects one casts it to bigint. Everything else leaves the views with our type: names text (any type
-- can be read as that; char(n) loses its padding), instants timestamptz (gaq.utc reads a timestamp as UTC, whatever the
-- session's time zone), yes and no bool (::int takes boolean and numbers). What cannot work is refused here, and by plan.
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

-- The QC times are made of what they are made of, here and in the trigger: qc_time_start and qc_time_end are virtual in
-- MariaDB, and after the move they may be stored, virtual, plain columns that nobody keeps up to date, or missing.
create or replace view gaq.source_runs as
select run_number,
       coalesce(gaq.utc(first_tf_timestamp), gaq.utc(time_trg_start), gaq.utc(time_o2_start)) as qc_time_start,
       coalesce(gaq.utc(last_tf_timestamp), gaq.utc(time_trg_end), gaq.utc(time_o2_end)) as qc_time_end
from runs;

-- A pair exists exactly while it is here.
create or replace view gaq.source_pairs as
select data_pass_id, run_number from data_passes_runs;

-- Nothing keeps a detector from being listed twice: it counts once all the same, see 30_compute.sql.
create or replace view gaq.source_gaq_detectors as
select data_pass_id, run_number, detector_id from global_aggregated_quality_detectors;

-- Flags that count: linked to a data pass, and not deleted. One that is linked to several stands here for each.
-- (offset 0 is a planner fence, see docs/architecture.md: a plan made without statistics, after a move, would go through all
-- flags of the data pass for each pair.)
create or replace view gaq.source_flags as
select f.id, l.data_pass_id, f.run_number, f.detector_id, f.flag_type_id,
       gaq.utc(f."from") as starts, gaq.utc(f."to") as ends, gaq.utc(f.created_at) as created_at
from quality_control_flags f
cross join lateral (
    select data_pass_id from data_pass_quality_control_flag where quality_control_flag_id = f.id offset 0
) l
where f.deleted::int = 0;

-- The same flags of one pair, on these detectors: what computing reads. PostgreSQL puts the body in the place of the call.
-- A run has flags of every data pass, most of which are other pairs' flags. So three indexes find the pair's flags before one
-- row of the large table is read. First the ids of the run's flags on these detectors that are not below the first id of the
-- data pass, nor above its last: where experts flag one data pass after another, few others are among them. Then those of
-- them that have a link to the data pass. Then the flags.
-- Each step is a planner fence, see docs/architecture.md. With "id between" instead of a comparison of rows, the primary key
-- would go through all flags of the data pass. The first
-- and the last link are looked for in the order of data passes, because in the order of flags an index of flags would go
-- through all of them. (A data pass without links gets a link of the next: then the second step finds nothing.)
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

-- The flags of the pairs that exist, on the detectors that matter, found in the same way, pair by pair, for who reads some
-- pairs while many marks wait: see gaq.marked_pairs in 50_read.sql. (A view, because the function would ask the reader for
-- rights on the tables.)
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

-- Flags whose effective periods, as the application has stored them, end where a later flag does that is deleted. The
-- application computes such periods anew when somebody deletes the later flag, but its trigger on runs does not: see
-- bookkeeping_boundaries.sql. Only gaq-listen verify --original reads it.
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

-- Who set a flag (the number of a user), and what they wrote: only gaq.explain reads it.
create or replace view gaq.source_flag_details as
select id, '#' || created_by_id as created_by, comment::text from quality_control_flags;


-- 2. What marks of its own kinds stand for ------------------------------------------------------------------------------
-- A flag's row tells the run, and its link tells the data pass: neither tells the pair. A trigger that looked up the other
-- half would miss what a concurrent transaction has not committed yet (the flag moves to another run while it is being
-- linked). So a change of a flag marks 'flag in run', with the run that it counted or counts in, and a change of a link marks
-- 'flag in data pass'; and the pair is put together here, later.
-- By then the other half may be gone as well: a link is removed while its flag is deleted, and no table knows of the pair
-- any more. But what is gone has left a mark. So the other half is looked for in the tables and in the marks that are still
-- pending. That is enough: when the other half's mark has been folded already, it was put together either with this half's
-- mark, or, if this change was not yet committed, with this half as it still stood in its table. So the pair was marked
-- then, and computed without the other half, and without it this half cannot matter.
-- (To mark all pairs of the run or of the data pass instead would be simpler, and mark hundreds for each flag.)

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

-- The same for who reads while any number of marks wait. Few marks look for their pairs, as above. When there are many, each
-- pair that exists looks for its marks:
-- - of the flags that marks of the run name, those that are linked to the data pass;
-- - of the flags of the run, those that marks of the data pass name;
-- - the flags that both name.
-- (Marks of the run are asked for from the first to the last flag that can matter: the data pass has links, or marks, from
-- the one to the other.)
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
-- The same columns, of one row: the triggers call these functions (see gaq.a_flag and the like in 15_marking.sql). They are
-- bound to columns by number, so a renamed column stops no writer.

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

-- (A flag does not tell its data pass.)
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
-- gaq.create_marking in 15_marking.sql says what it creates. The functions that other shapes share are in 22_marking.sql.

do $$ begin
    -- A flag tells its run. It is inserted first and linked a statement later, so a new one most often has no pair yet.
    perform gaq.create_marking('mark_qc_flags', 'as_flag', 'counts', 'wide_invalidations (kind, key, place, cause)',
                               '''flag in run'', id, run_number, ''flag''');
    -- A link tells the flag and the data pass.
    perform gaq.create_marking('mark_qc_flag_links', 'as_flag_link', 'data_pass_id is not null',
                               'wide_invalidations (kind, key, place, cause)',
                               '''flag in data pass'', flag_id, data_pass_id, ''flag''');
end $$;

reset role;


-- The triggers. CREATE TRIGGER waits for the transactions that write to the table, and lets no new ones begin while it
-- waits: hence the lock_timeout. ENABLE ALWAYS: also where session_replication_role = replica silences ordinary triggers.

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

-- Functions and types that every sources file uses: to record its name, to read instants, and to return the columns that
-- count of a row. No statement in this file names a source table.

set role gaq_owner;

-- Drops the views of the sources file if a source column has another type than the recorded one, because a view cannot
-- change the type of a column. All that is built on these views goes with them, except gaq_summaries. The files that
-- follow create everything again.
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
    -- gaq_summaries reads this view. Meanwhile the view shows all summaries as stale, because they are marked, see
    -- 08_missed.sql.
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

-- Records which sources file is applied. Raises an error if the installation was made with another sources file, because
-- the triggers of that file would remain.
create or replace function gaq.use_sources(name text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    used text;
begin
    if to_regprocedure('gaq.sources()') is not null then
        execute 'select gaq.sources()' into used;
    elsif to_regclass('gaq.source_pairs') is not null then
        used := 'reference';        -- the only sources file at that time
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


-- Returns a column of either type as an instant. A timestamp without time zone is read as UTC. PostgreSQL chooses the
-- function by the type, so a sources file need not name the type, and one database may mix both types.
create or replace function gaq.utc(timestamptz) returns timestamptz
language sql immutable parallel safe
return $1;

create or replace function gaq.utc(timestamp) returns timestamptz
language sql immutable parallel safe
return $1 at time zone 'UTC';

-- Returns the time, or null if programs cannot represent it. PostgreSQL has infinity and years that they do not have.
create or replace function gaq.representable(timestamptz) returns timestamptz
language sql immutable parallel safe
return case when $1 between '0001-01-02 00:00Z' and '9999-12-30 00:00Z' then $1 end;


-- Returns a sentence for each column of the source tables whose type gaq-listen cannot read. Each line of needs is
-- "table.column: kind". The function finds the tables along the search_path. A domain counts as its base type. (The plan
-- runs this query before anything is installed, so the query uses no object of schema gaq.)
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


-- The columns that count of one row of a source table, in the types of gaq-listen. The sources file has an accessor for
-- each table, which returns one of these types for a row of the table, such as gaq.as_flag(qc_flags). Like a view, an
-- accessor is bound to columns by their number, so a renamed column or table causes no error for a writer. The triggers
-- (22_marking.sql) call accessors, and name no column themselves. PostgreSQL inlines an accessor, so the call costs a
-- writer nothing.
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


-- Rings if a worker sleeps. Otherwise keeps all workers awake until the commit is visible, so that they see its marks.
create or replace function gaq.ring_if_asleep() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
end
$$;

-- Marks everything after a TRUNCATE, because a trigger does not get the rows that TRUNCATE removes.
create or replace function gaq.mark_everything() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    insert into gaq.wide_invalidations (kind, cause) values ('everything', 'truncate');
    perform gaq.ring_if_asleep();
    return null;
end
$$;

-- Marks everything if a trigger cannot interpret its rows, because a column was dropped with CASCADE.
create or replace function gaq.mark_unbound() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into gaq.wide_invalidations (kind, cause) values ('everything', 'unbound');
    perform gaq.ring_if_asleep();
end
$$;

-- Creates the function that the triggers of a table call for INSERT, UPDATE and DELETE. All these functions have one frame:
--   name      the name of the function, such as mark_runs
--   accessor  the function of the sources file that returns the columns that count of a row, such as as_run
--   counting  the condition under which a row counts
--   marks     the table of marks, with the columns that the function writes
--   written   the expressions for these columns
--   once      the columns by which the rows of a statement share a mark; null if no two rows have the same mark
--
-- A trigger calls the function once a statement, whatever the number of rows. The function compares the rows that count,
-- before and after. A row that is on one side only has changed. The function reads no table, so a concurrent transaction
-- cannot hide anything from it. It runs with the rights of its owner, so a writer needs no right on schema gaq. At the end
-- the function tries the doorbell's lock, and rings only if a sleeping worker has the lock: see gaq.ring in 10_marks.sql.
-- If a column is dropped with CASCADE, PostgreSQL drops the accessor with it. No writer gets an error because of that. Each
-- statement then marks everything, until gaq-listen install creates the accessor again.
-- (PL/pgSQL can plan a statement on a transition table only in the trigger function that has the table. So the frame cannot
-- be a function that trigger functions call. Because its code is copied into each of them, the frame costs a writer nothing.
-- The function uses DISTINCT ON, which sorts, because most writers write a single row, and for a single row the hash table of
-- DISTINCT costs as much as the mark.)
create or replace function gaq.create_marking(
    name text, accessor text, counting text, marks text, written text, once text default null
) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    code text := $frame$
create or replace function gaq.<name>() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $body$
begin
    if to_regproc('gaq.<accessor>') is null then
        perform gaq.mark_unbound();
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into gaq.<marks>
        select <once> <written>
        from (select (gaq.<accessor>(n)).* from new_rows n) told where <counting>;
    elsif tg_op = 'DELETE' then
        insert into gaq.<marks>
        select <once> <written>
        from (select (gaq.<accessor>(o)).* from old_rows o) told where <counting>;
    else
        insert into gaq.<marks>
        with before as (select * from (select (gaq.<accessor>(o)).* from old_rows o) told where <counting>),
             after as (select * from (select (gaq.<accessor>(n)).* from new_rows n) told where <counting>)
        select distinct <written>
        from ((table before except all table after) union all (table after except all table before)) changed;
    end if;
    if found and not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return null;
end
$body$
$frame$;
begin
    code := replace(code, '<name>', quote_ident(name));
    code := replace(code, '<accessor>', quote_ident(accessor));
    code := replace(code, '<counting>', counting);
    code := replace(code, '<marks>', marks);
    code := replace(code, '<once>', coalesce('distinct on (' || once || ')', ''));
    code := replace(code, '<written>', written);
    execute code;
end
$$;

-- The triggers name these functions. In a first installation the functions mark everything until 22_marking.sql replaces
-- them. That file needs the accessors, which the sources file creates in between.
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

reset role;

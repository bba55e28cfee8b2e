-- What every sources file uses: how it says its name, how it reads instants, and what it returns of a row. No table is named
-- here.

set role gaq_owner;

-- A view cannot change the type of a column. Where a source column has another type than when it was recorded, the views of the
-- sources file are dropped, with all that is made of them but gaq_summaries, and the files that follow create them again.
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
    -- gaq_summaries is made of this view, which shows all summaries as stale meanwhile: they are marked, see 08_missed.sql.
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

-- Which sources file is applied. Another one than before would leave the triggers of the first behind.
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


-- An instant, whichever type its column has: timestamp without time zone is read as UTC. PostgreSQL chooses by the type, so
-- nobody has to say it, and the two may be mixed.
create or replace function gaq.utc(timestamptz) returns timestamptz
language sql immutable parallel safe
return $1;

create or replace function gaq.utc(timestamp) returns timestamptz
language sql immutable parallel safe
return $1 at time zone 'UTC';

-- A time that programs can hold, or null: PostgreSQL knows infinity and years that they do not.
create or replace function gaq.representable(timestamptz) returns timestamptz
language sql immutable parallel safe
return case when $1 between '0001-01-02 00:00Z' and '9999-12-30 00:00Z' then $1 end;


-- Returns a sentence for each column of the source tables whose type cannot be read. Each line of needs is
-- "table.column: kind"; the tables are looked for along the search_path. A domain counts as the type that it is made of.
-- (The plan asks this query before anything is installed, so it uses nothing of ours.)
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


-- What counts of a row of a source table, in our types. The sources file has a function for each table that returns one of
-- them for a row of the table, such as gaq.as_flag(qc_flags). Such a function is bound to columns by their number, as a view is,
-- so a renamed column or table does not stop a writer. The triggers (22_marking.sql) call it, and name no column themselves.
-- PostgreSQL inlines it: it costs a writer nothing.
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


-- Rings if a worker sleeps. Else keeps all workers awake until the commit is visible: they will see its marks.
create or replace function gaq.ring_if_asleep() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
end
$$;

-- TRUNCATE tells no rows, so everything is marked.
create or replace function gaq.mark_everything() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    insert into gaq.wide_invalidations (kind, cause) values ('everything', 'truncate');
    perform gaq.ring_if_asleep();
    return null;
end
$$;

-- Where a trigger cannot tell what its rows mean, because somebody has dropped a column with CASCADE, everything is marked.
create or replace function gaq.mark_unbound() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into gaq.wide_invalidations (kind, cause) values ('everything', 'unbound');
    perform gaq.ring_if_asleep();
end
$$;

-- Creates the function that the triggers of a table call for INSERT, UPDATE and DELETE. All of them have this frame:
--   name      of the function, such as mark_runs
--   accessor  the function of the sources file that returns what counts of a row, such as as_run
--   counting  the condition for a row that counts at all
--   marks     the table of marks, with its columns
--   written   what is written there
--   once      columns by which a mark is written once for all rows of a statement; null: no two rows have the same mark
--
-- One call a statement, whatever the number of rows. The function compares the rows that count, before and after: what
-- stands on one side only has changed. It reads no table, so a concurrent transaction cannot hide anything from it. It runs
-- as its owner: a writer needs no right on schema gaq. At the end it tries the doorbell's lock, and rings only when a sleeper
-- has it: see gaq.ring in 10_marks.sql.
-- If somebody drops a column with CASCADE, the accessor goes with it. No writer fails because of that: each statement then
-- marks everything, and gaq-listen install brings the accessor back.
-- (PL/pgSQL plans a statement on a transition table only where the table is, in the trigger function. So the frame cannot be
-- a function that others call; written out, it costs a writer nothing. DISTINCT ON sorts: for a single row, which is what
-- most writers write, the hash table of DISTINCT costs as much as the mark.)
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

-- The triggers name these functions. In a first installation they mark everything until 22_marking.sql makes them what they
-- are, which takes what the sources file creates before.
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

-- What every sources file uses: how it says its name, how it reads instants, and the trigger functions that suit any shape.
-- No table is named here. The functions read transition tables alone: those of tables whose rows have columns called
-- data_pass_id, run_number and detector_id, or flag_id. A table with other names has a function of its own, in the
-- sources file, like those for flags, runs and flag types.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

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
create or replace function gaq.showable(timestamptz) returns timestamptz
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


-- What marks: one call a statement, whatever the number of rows. Each function compares the rows that count, before and
-- after: what stands on one side only has changed. None of them reads a table, so a concurrent transaction cannot hide
-- anything from it. They run as their owner: a writer needs no right on schema gaq. At the end they try the doorbell's
-- lock, and ring only when a sleeper has it: see gaq.ring in 10_marks.sql.
-- What many rows carry is marked once. DISTINCT ON, because it sorts: for a single row, which is what most writers
-- write, the hash table of DISTINCT costs as much as the mark.

-- An entry of the list of detectors that matter carries its pair.
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


-- So does a run that enters or leaves a data pass.
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


-- A verification names its flag. Whether it is the first of the flag cannot be told without a lock, so each one marks.
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
grant execute on function gaq.utc(timestamptz), gaq.utc(timestamp) to gaq_reader;
reset role;

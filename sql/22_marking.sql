-- What marks: the trigger functions that suit tables of any shape and of any names. They name no source table and no column:
-- what counts of a row is told by the functions of the sources file, such as gaq.as_run(runs), which are there already. (The
-- functions that mark flags are in the sources file, because there the shapes differ in more than names.)
--
-- One call a statement, whatever the number of rows. Each function compares the rows that count, before and after: what
-- stands on one side only has changed. None of them reads a table, so a concurrent transaction cannot hide anything from it.
-- They run as their owner: a writer needs no right on schema gaq. At the end they try the doorbell's lock, and ring only when
-- a sleeper has it: see gaq.ring in 10_marks.sql.
-- A row without a pair counts for nothing, and no writer fails because of one.
-- What many rows carry is marked once. DISTINCT ON, because it sorts: for a single row, which is what most writers
-- write, the hash table of DISTINCT costs as much as the mark.
-- If somebody drops a column with CASCADE, the function of its table goes with it. No writer fails because of that: each
-- statement then marks everything (gaq.mark_unbound), and gaq-listen install brings the function back.

-- A sources file for an earlier version has no such functions, and writers would fail for want of them.
do $$
declare
    lacking text;
begin
    select string_agg(format('gaq.%s(...)', wanted), ', ') into lacking
    from unnest(array['as_run', 'as_pair', 'as_gaq_detector', 'as_flag', 'as_flag_type', 'as_verification']) wanted
    where not exists (select from pg_proc where pronamespace = 'gaq'::regnamespace and proname = wanted);
    if lacking is not null then
        raise exception 'the sources file creates no function %', lacking
            using hint = 'it is one for an earlier version of gaq-listen; docs/guides/dba.md says what a sources file contains';
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


-- An entry of the list of detectors that matter carries its pair.
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


-- So does a run that enters or leaves a data pass.
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


-- A verification names its flag. Whether it is the first of the flag cannot be told without a lock, so each one marks.
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


-- A run counts by its QC times. Inserts and deletes matter where a deferred foreign key lets a run be replaced.
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


-- A flag type counts by being bad and being MC reproducible.
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

reset role;

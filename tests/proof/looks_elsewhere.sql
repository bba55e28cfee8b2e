-- Mutants of the trigger functions in 20_sources.sql: they look up pairs and siblings in other tables, where they cannot
-- see what another transaction has not committed yet.

-- Only the first verification of a flag matters, and the last that goes.
create or replace function gaq.mark_qc_flag_verifications() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
    if tg_op = 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct data_pass_id, f.run_number, 'verification'
        from new_rows v join qc_flags f on f.id = v.flag_id
        where data_pass_id is not null
          and not exists (select from qc_flag_verifications o
                          where o.flag_id = v.flag_id and o.id not in (select id from new_rows));
    elsif tg_op = 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct data_pass_id, f.run_number, 'verification'
        from old_rows v join qc_flags f on f.id = v.flag_id
        where data_pass_id is not null
          and not exists (select from qc_flag_verifications o where o.flag_id = v.flag_id);
    end if;
    return null;
end
$$;

-- The data passes of a run.
create or replace function gaq.mark_runs() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
    if tg_op = 'UPDATE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select p.data_pass_id, p.run_number, 'run times'
        from old_rows o join new_rows n using (run_number) join data_pass_runs p using (run_number)
        where (o.qc_time_start, o.qc_time_end) is distinct from (n.qc_time_start, n.qc_time_end);
    end if;
    return null;
end
$$;

-- The pairs that have a flag of the type.
create or replace function gaq.mark_qc_flag_types() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
    if tg_op = 'UPDATE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select distinct f.data_pass_id, f.run_number, 'flag type'
        from old_rows o join new_rows n using (id) join qc_flags f on f.flag_type_id = o.id
        where (o.bad, o.mc_reproducible) is distinct from (n.bad, n.mc_reproducible)
          and f.data_pass_id is not null and not f.deleted;
    end if;
    return null;
end
$$;

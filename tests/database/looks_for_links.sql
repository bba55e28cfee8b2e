-- Mutants of two trigger functions in sources_bookkeeping.sql: a flag looks up its links, and a link looks up its flag, to
-- mark the pair itself. See test_interleavings_links.py.

create or replace function gaq.mark_qc_flags() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
    if tg_op <> 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select l.data_pass_id, f.run_number, 'flag'
        from old_rows f join data_pass_quality_control_flag l on l.quality_control_flag_id = f.id;
    end if;
    if tg_op <> 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select l.data_pass_id, f.run_number, 'flag'
        from new_rows f join data_pass_quality_control_flag l on l.quality_control_flag_id = f.id;
    end if;
    return null;
end
$$;

create or replace function gaq.mark_qc_flag_links() returns trigger
language plpgsql security definer set search_path = public, pg_temp
as $$
begin
    if tg_op <> 'INSERT' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select l.data_pass_id, f.run_number, 'flag'
        from old_rows l join qc_flags f on f.id = l.quality_control_flag_id;
    end if;
    if tg_op <> 'DELETE' then
        insert into gaq.invalidations (data_pass_id, run_number, cause)
        select l.data_pass_id, f.run_number, 'flag'
        from new_rows l join qc_flags f on f.id = l.quality_control_flag_id;
    end if;
    return null;
end
$$;

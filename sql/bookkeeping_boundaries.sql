-- A rule of ALICE's Bookkeeping that a move from MariaDB loses, because pgloader moves no triggers: when the QC time of a run
-- moves, the application's trigger qcf_boundaries_update_on_run_timestamps_update adapts the flags of that run and their
-- effective periods to the new window. This is the same rule for PostgreSQL.
-- It is the application's own and no part of gaq-listen: it is installed only by whoever applies this file, it lives in the
-- schema of the tables, and gaq-listen uninstall leaves it. Summaries depend on it where a window shrinks and grows again.
--     gaq-listen sql bookkeeping_boundaries | psql -1 -f -
-- Apply it as the owner of the tables, before gaq-listen is installed or after. It can be applied again. Away again:
--     drop function qcf_boundaries_update() cascade;
-- The tables are looked for in schema public, or in the schema that the setting gaq.source_schema names.

do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

-- It runs as its owner, as triggers of MariaDB do: whoever may change the times of a run need not be allowed to change flags.
-- The window is made of what it is made of, because qc_time_start and qc_time_end may be plain columns after the move.
-- As in MariaDB, a bound that was or becomes null is no move; a flag loses a bound only together with an effective period;
-- flags of every kind are meant, of data passes, of simulation passes and of none; a bound that is gone does not come back.
do $do$ begin
    execute format($create$
        create or replace function %1$I.qcf_boundaries_update() returns trigger
        language plpgsql security definer set search_path = pg_catalog, %1$I, pg_temp
        as $$
        declare
            old_start constant timestamptz := coalesce(old.first_tf_timestamp, old.time_trg_start, old.time_o2_start);
            new_start constant timestamptz := coalesce(new.first_tf_timestamp, new.time_trg_start, new.time_o2_start);
            old_end constant timestamptz := coalesce(old.last_tf_timestamp, old.time_trg_end, old.time_o2_end);
            new_end constant timestamptz := coalesce(new.last_tf_timestamp, new.time_trg_end, new.time_o2_end);
            passed bigint[];
        begin
            -- Bounds that the window has passed become null: from the start, or to the end, of the run.
            if old_start <> new_start then
                with period as (
                    update quality_control_flag_effective_periods p
                    set "from" = null, updated_at = now()
                    from quality_control_flags f
                    where f.id = p.flag_id and f.run_number = new.run_number
                      and f."from" <= new_start and p."from" <= new_start
                    returning p.flag_id
                )
                select array_agg(flag_id) into passed from period;
                update quality_control_flags set "from" = null, updated_at = now() where id = any (passed);
            end if;
            if old_end <> new_end then
                with period as (
                    update quality_control_flag_effective_periods p
                    set "to" = null, updated_at = now()
                    from quality_control_flags f
                    where f.id = p.flag_id and f.run_number = new.run_number
                      and f."to" >= new_end and p."to" >= new_end
                    returning p.flag_id
                )
                select array_agg(flag_id) into passed from period;
                update quality_control_flags set "to" = null, updated_at = now() where id = any (passed);
            end if;

            -- Effective periods outside the window go; flags outside are soft-deleted. ('1' is a boolean and a number.)
            if old_start <> new_start or old_end <> new_end then
                delete from quality_control_flag_effective_periods p
                using quality_control_flags f
                where f.id = p.flag_id and f.run_number = new.run_number and (p."to" <= new_start or p."from" >= new_end);
                update quality_control_flags
                set deleted = '1', updated_at = now()
                where run_number = new.run_number and deleted::int = 0 and ("to" <= new_start or "from" >= new_end);
            end if;
            return null;
        end
        $$
    $create$, current_schema());
    execute format('revoke all on function %I.qcf_boundaries_update() from public', current_schema());
end $do$;

create or replace trigger qcf_boundaries_update_on_run_timestamps_update after update on runs
    for each row execute function qcf_boundaries_update();

-- gaq_summaries: what web applications and physicists read. It lies beside the source tables (see gaq.source_schema in
-- 20_sources.sql), and stands for the stored summaries together with the oldest mark of each pair.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

set role gaq_owner;

create or replace view gaq.pending as
select data_pass_id, run_number, min(invalidated_at) as invalidated_at
from (
    select data_pass_id, run_number, invalidated_at from gaq.invalidations
    union all
    select data_pass_id, run_number, invalidated_at from gaq.expanded_invalidations
) mark
group by data_pass_id, run_number;

-- FULL JOIN USING: a condition on the pair reaches both sides, and a pair that was never computed is seen.
create or replace view gaq.current_summaries as
select data_pass_id,
       run_number,
       s.bad_run_coverage,
       s.explicitly_not_bad_run_coverage,
       s.mc_reproducible_coverage,
       s.missing_verifications_count,
       s.undefined_quality_periods_count,
       s.not_computable,                    -- null: not computed yet
       p.invalidated_at,                    -- stale since; null: fresh
       s.created_at,
       s.updated_at
from gaq.summaries s
full join gaq.pending p using (data_pass_id, run_number);

-- UPDATE of invalidated_at and INSERT of a pair ask for recomputation.
create or replace function gaq.request() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'UPDATE' then
        if (to_jsonb(new) - 'invalidated_at') is distinct from (to_jsonb(old) - 'invalidated_at') then
            raise exception 'gaq_summaries is computed: only its invalidated_at can be updated'
                using errcode = 'object_not_in_prerequisite_state';
        end if;
        if new.invalidated_at is null then
            raise exception 'gaq_summaries.invalidated_at cannot be set to null: only a refresh makes a summary fresh'
                using hint = 'To ask for a refresh: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...',
                      errcode = 'object_not_in_prerequisite_state';
        end if;
    elsif new.data_pass_id is null or new.run_number is null then
        raise exception 'a request for a summary names its data_pass_id and its run_number'
            using errcode = 'not_null_violation';
    end if;
    insert into gaq.invalidations (data_pass_id, run_number, cause)
    values (new.data_pass_id, new.run_number, 'by hand');
    if not pg_try_advisory_xact_lock_shared(gaq.bell_key()) then
        perform gaq.ring();
    end if;
    return new;
end
$$;

revoke all on all routines in schema gaq from public;
reset role;


-- The name that others rely on, where they look for it.
create or replace view gaq_summaries as
select data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,
       missing_verifications_count, undefined_quality_periods_count, not_computable, invalidated_at, created_at, updated_at
from gaq.current_summaries;

comment on view gaq_summaries is
    'Global Aggregated Quality of each data pass and run; stale while invalidated_at is not null. '
    'To ask for recomputation: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...';

create or replace trigger gaq_request instead of insert or update on gaq_summaries
    for each row execute function gaq.request();

-- It reads what gaq_owner may read. (To be given something in a schema, one needs the right to create there.)
do $$ begin
    execute format('grant create on schema %I to gaq_owner', current_schema());
    alter view gaq_summaries owner to gaq_owner;
    execute format('revoke create on schema %I from gaq_owner', current_schema());
    execute format('grant usage on schema %I to gaq_reader', current_schema());
end $$;
grant select on gaq_summaries to gaq_reader;

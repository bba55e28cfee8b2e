-- What is read: the stored summaries together with the oldest mark of each pair; and how a refresh is asked for.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;

set role gaq_owner;

create or replace view gaq.pending as
select distinct on (data_pass_id, run_number) data_pass_id, run_number, invalidated_at
from (
    -- (The first of each pair in the index: cheaper than to fold them all, when they are many.)
    (select distinct on (data_pass_id, run_number) data_pass_id, run_number, invalidated_at
     from gaq.invalidations
     order by data_pass_id, run_number, invalidated_at)
    union all
    select data_pass_id, run_number, invalidated_at from gaq.expanded_invalidations
) mark
order by data_pass_id, run_number, invalidated_at;

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

-- The grants of a view, as statements that name it without its schema.
create or replace function gaq.grants_on(given_on regclass) returns setof text
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    select format('grant %s%s on %I to %s%s', privilege_type, ' (' || quote_ident(attname) || ')', relname,
                  case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
                  case when is_grantable then ' with grant option' else '' end)
    from (
        select relname, relacl as acl, null::name as attname, relowner as owner from pg_class where oid = given_on
        union all
        select relname, attacl, attname, relowner
        from pg_attribute join pg_class on pg_class.oid = attrelid where attrelid = given_on
    ) given
    cross join lateral aclexplode(acl)
    where grantee <> owner;
end;


-- UPDATE of invalidated_at and INSERT of a pair ask for recomputation. DELETE cannot be meant.
create or replace function gaq.request() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'DELETE' then
        raise exception 'a summary in gaq_summaries cannot be deleted: it goes when its run leaves the data pass'
            using hint = 'To ask for a refresh: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...',
                  errcode = 'object_not_in_prerequisite_state';
    elsif tg_op = 'UPDATE' then
        -- (A library that sets updated_at with every update may do so.)
        if to_jsonb(new) - array['invalidated_at', 'updated_at']
               is distinct from to_jsonb(old) - array['invalidated_at', 'updated_at']
           or new.updated_at is distinct from old.updated_at and new.invalidated_at is not distinct from old.invalidated_at
        then
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

-- The views that readers use: stored summaries with the oldest mark of each pair. A reader can also request a refresh.

set role gaq_owner;

-- The pairs that wide marks stand for, for a reader while any number of wide marks wait. gaq.expanded_invalidations begins with
-- the marks, which suits a worker that folds them. This view begins with the pairs and looks up the marks of each, with the
-- functions of 12_wide_marks.sql. The time of a query then does not grow with the number of wide marks.
-- The condition "data_pass_id::bigint = data_pass_id", which is always true, is a planner fence, see docs/architecture.md.
create or replace view gaq.marked_pairs as
-- Wide marks of the run of a pair. (A pair that has left its data pass has a mark of its own.)
select p.data_pass_id, p.run_number, m.invalidated_at
from (
    select data_pass_id::bigint, run_number::bigint from gaq.source_pairs
    where data_pass_id::bigint = data_pass_id and run_number::bigint = run_number
      and exists (select from gaq.wide_invalidations) and gaq.wide_marks('run') > 0
) p
cross join lateral (select gaq.oldest_wide_mark('run', array[p.run_number]) as invalidated_at offset 0) m
where m.invalidated_at is not null
union all
-- Wide marks of flag types, and of flags if there are many. They stand for a pair with such a flag on a GAQ detector.
select p.data_pass_id, p.run_number, m.invalidated_at
from (
    select f.data_pass_id::bigint, f.run_number::bigint,
           array_agg(f.id::bigint) as flags, array_agg(distinct f.flag_type_id::bigint) as types
    from gaq.source_flag_pairs f
    where f.data_pass_id::bigint = f.data_pass_id and f.run_number::bigint = f.run_number
      and exists (select from gaq.wide_invalidations)
      and (gaq.wide_marks('flag type') > 0 or gaq.wide_marks('flag', 501) > 500)
    group by f.data_pass_id::bigint, f.run_number::bigint
) p
cross join lateral (
    select least(case when (select gaq.wide_marks('flag', 501) > 500) then gaq.oldest_wide_mark('flag', p.flags) end,
                 case when (select gaq.wide_marks('flag type') > 0) then gaq.oldest_wide_mark('flag type', p.types) end)
           as invalidated_at
    offset 0
) m
where m.invalidated_at is not null
union all
-- Wide marks of flags, if there are few. This part begins with the marks, because a query of all pairs is then faster.
select f.data_pass_id, f.run_number, w.invalidated_at
from gaq.first_wide_marks('flag', 500) w
cross join lateral (
    select f.data_pass_id::bigint, f.run_number::bigint
    from gaq.source_flags f
    join gaq.source_gaq_detectors d on d.data_pass_id = f.data_pass_id::bigint and d.run_number = f.run_number::bigint
                                       and d.detector_id = f.detector_id::bigint
    where f.id = w.key
    offset 0
) f
where exists (select from gaq.wide_invalidations) and gaq.wide_marks('flag', 501) <= 500
union all
-- Wide marks of kinds that only some sources files have.
select data_pass_id, run_number, invalidated_at from gaq.source_marked_pairs
where exists (select from gaq.wide_invalidations)
union all
-- Wide marks of everything. They stand for all pairs, and for summaries of pairs that are gone.
select data_pass_id, run_number,
       (select w.invalidated_at from gaq.first_wide_marks('everything', 1) w)
from (
    select data_pass_id::bigint, run_number::bigint from gaq.source_pairs
    where data_pass_id::bigint = data_pass_id and run_number::bigint = run_number
    union all
    select data_pass_id, run_number from gaq.summaries
) p
where exists (select from gaq.wide_invalidations) and gaq.wide_marks('everything') > 0;

create or replace view gaq.pending as
select data_pass_id, run_number, min(invalidated_at) as invalidated_at
from (
    -- (The first of each pair in the index: cheaper than to fold them all, when they are many.)
    (select distinct on (data_pass_id, run_number) data_pass_id, run_number, invalidated_at
     from gaq.invalidations
     order by data_pass_id, run_number, invalidated_at)
    union all
    select data_pass_id, run_number, invalidated_at from gaq.marked_pairs
) mark
group by data_pass_id, run_number;

-- FULL JOIN USING is a planner fence, see docs/architecture.md; it also shows a pair that was never computed.
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

-- Returns the grants of a view, as GRANT statements that name the view without its schema.
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


-- Marks a pair when a writer updates its invalidated_at or inserts the pair. Raises an error for DELETE.
create or replace function gaq.request_refresh() returns trigger
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

reset role;

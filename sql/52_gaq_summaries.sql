-- gaq_summaries: what web applications and physicists read, under the name that they rely on, where they look for it: beside
-- the source tables (see gaq.source_schema in the sources file). It is a view.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;


-- A table of that name, in which an application has stored summaries itself, is taken over. It is kept, renamed, as it is;
-- uninstall.sql gives it its name back. What it holds goes on being shown: a row that was invalidated is marked, since when
-- it was, and any other is not, until something changes or somebody asks. All in one transaction, with nobody in between.
do $$
declare
    original regclass := to_regclass(format('%I.gaq_summaries', current_schema()));
    lacking text;
begin
    perform set_config('gaq.taken_over', '', false);
    if not exists (select from pg_class where oid = original and relkind in ('r', 'p')) then
        return;
    end if;
    select string_agg(wanted, ', ') into lacking
    from unnest(array['data_pass_id', 'run_number', 'bad_run_coverage', 'explicitly_not_bad_run_coverage',
                      'mc_reproducible_coverage', 'missing_verifications_count', 'undefined_quality_periods_count',
                      'not_computable', 'invalidated_at', 'created_at', 'updated_at']) wanted
    where not exists (select from pg_attribute where attrelid = original and attname = wanted and not attisdropped);
    if lacking is not null then
        raise exception 'there is a table gaq_summaries, and it cannot be taken over: it has no column %', lacking
            using hint = 'rename it';
    end if;

    lock table gaq_summaries in access exclusive mode;
    grant select on gaq_summaries to gaq_owner;
    set local role gaq_owner;
    create view gaq.original_summaries as
    select data_pass_id::bigint, run_number::bigint,
           bad_run_coverage::double precision,
           explicitly_not_bad_run_coverage::double precision,
           mc_reproducible_coverage::double precision,
           missing_verifications_count::int,
           undefined_quality_periods_count::int,
           case when num_nonnulls(bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage) = 3
                then coalesce(not_computable::int <> 0, false)
                else nullif(not_computable::int <> 0, false) end as not_computable,      -- null: never computed
           gaq.utc(invalidated_at) as invalidated_at,
           gaq.utc(created_at) as created_at,
           gaq.utc(updated_at) as updated_at
    from gaq_summaries;

    insert into gaq.summaries (data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
                               mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
                               not_computable, created_at, updated_at)
    select data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
           mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
           not_computable, coalesce(created_at, now()), case when not_computable is not null then coalesce(updated_at, now()) end
    from gaq.original_summaries
    on conflict do nothing;
    -- Also a pair that is in no data pass: a worker removes it.
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    select data_pass_id, run_number, coalesce(invalidated_at, clock_timestamp()), 'taken over'
    from gaq.original_summaries o
    where invalidated_at is not null
       or not exists (select from gaq.source_pairs p
                      where p.data_pass_id = o.data_pass_id and p.run_number = o.run_number);
    reset role;

    alter table gaq_summaries rename to gaq_summaries_original;
    perform set_config('gaq.taken_over', original::oid::text, false);
end
$$;
reset role;


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

-- GRANT ... ON ALL TABLES IN SCHEMA by the owner of the tables would fail as a whole because of a view on which the owner has no
-- right at all. With one, it goes on with a warning. (Not with grant option: DROP OWNED would not find what was given by that.)
do $$
declare
    owner regrole;
begin
    for owner in
        select distinct c.relowner
        from pg_trigger t
        join pg_proc f on f.oid = tgfoid
        join pg_class c on c.oid = tgrelid
        join pg_roles o on o.oid = c.relowner
        where f.pronamespace = 'gaq'::regnamespace and tgparentid = 0 and c.relkind in ('r', 'p')
          and not o.rolsuper and o.rolname <> 'gaq_owner'
    loop
        execute format('grant select on gaq_summaries to %s', owner);
    end loop;
end
$$;

-- Whoever might read or write the table that was taken over may do the same with the view.
do $$
declare
    allowed record;
begin
    for allowed in
        select case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as role,
               privilege_type || coalesce(' (' || quote_ident(attname) || ')', '') as privilege
        from (
            select relacl as acl, null::name as attname from pg_class
            where oid::text = current_setting('gaq.taken_over') and relacl is not null
            union all
            select acldefault('r', relowner), null from pg_class where oid::text = current_setting('gaq.taken_over')
            union all
            select attacl, attname from pg_attribute where attrelid::text = current_setting('gaq.taken_over')
        ) given
        cross join lateral aclexplode(acl)
        where privilege_type in ('SELECT', 'INSERT', 'UPDATE') and grantee is distinct from to_regrole('gaq_owner')
    loop
        execute format('grant %s on gaq_summaries to %s', allowed.privilege, allowed.role);
    end loop;
end
$$;

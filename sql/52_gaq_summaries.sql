-- gaq_summaries: what web applications and physicists read, under the name that they rely on, where they look for it: beside
-- the source tables (see gaq.source_schema in the sources file). It is a view.

-- (Where it is already it stays, whatever became of the tables.)
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(
        (select nspname from pg_trigger join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = c.relnamespace
         where tgfoid = to_regprocedure('gaq.request_refresh()') and relkind = 'v' limit 1),
        nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
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
           not_computable, coalesce(gaq.representable(created_at), now()),
           case when not_computable is not null then coalesce(gaq.representable(updated_at), now()) end
    from gaq.original_summaries
    on conflict do nothing;
    -- Also a pair that is in no data pass: a worker removes it. (An infinite time tells no age.)
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    select data_pass_id, run_number, coalesce(gaq.representable(invalidated_at), clock_timestamp()), 'taken over'
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


-- The view. Where a table was taken over its columns have the types of that one, because programs were made for these: many
-- drivers hand a bigint over as text. (When that table is there no more, the view keeps the types that it has.)
-- Then the pairs are cast on both sides of the join (see gaq.current_summaries), so that a condition on the view's columns
-- still reaches both; what equals the cast equals the bigint, whose index serves it. The cast to int takes the lower half of a
-- bigint, so that no reader gets an error, and rows that need the upper half are left out. (No CASE: only where the cast is
-- strict PostgreSQL takes a condition through the FULL JOIN.)
do $$
declare
    original regclass;
    pair text;
    rest text;
    types text[];               -- of the view's columns
    present text[];             -- of those that it has
    grants text[];
    given text;
begin
    if to_regclass('gaq.original_summaries') is not null then
        select refobjid into original
        from pg_depend
        join pg_rewrite on pg_rewrite.oid = objid
        where classid = 'pg_rewrite'::regclass and ev_class = to_regclass('gaq.original_summaries')
          and refclassid = 'pg_class'::regclass and refobjid <> ev_class
        limit 1;
    end if;
    original := coalesce(original, to_regclass(format('%I.gaq_summaries', current_schema())));

    select array_agg(written.type order by place), string_agg(written.expression, ', ' order by place) filter (where place <= 2),
           string_agg(written.expression, ', ' order by place) filter (where place > 2)
    into types, pair, rest
    from (values (1, 'data_pass_id', 'bigint'), (2, 'run_number', 'bigint'),
                 (3, 'bad_run_coverage', 'double precision'), (4, 'explicitly_not_bad_run_coverage', 'double precision'),
                 (5, 'mc_reproducible_coverage', 'double precision'), (6, 'missing_verifications_count', 'integer'),
                 (7, 'undefined_quality_periods_count', 'integer'), (8, 'not_computable', 'boolean'),
                 (9, 'invalidated_at', 'timestamp with time zone'), (10, 'created_at', 'timestamp with time zone'),
                 (11, 'updated_at', 'timestamp with time zone')) ours (place, name, type)
    left join (select attname, format_type(atttypid, atttypmod) as type
               from pg_attribute join pg_type on pg_type.oid = atttypid
               where attrelid = original and typtype = 'b') theirs on attname = name
    cross join lateral (
        select coalesce(case when theirs.type = 'smallint' and place <= 2 then 'integer' else theirs.type end, ours.type) as type
    ) wanted
    cross join lateral (
        select wanted.type, case
            when wanted.type = ours.type then name
            when place <= 2 and wanted.type = 'integer' then format('(%I << 32 >> 32)::int as %1$I', name)
            when ours.type = 'boolean' then format('%I::int::%s as %1$I', name, wanted.type)
            when ours.type like 'timestamp%' and wanted.type like '%without time zone'
                then format('(%I at time zone ''UTC'')::%s as %1$I', name, wanted.type)
            else format('%I::%s as %1$I', name, wanted.type) end as expression
    ) written;

    -- A view cannot change the type of a column: it is made anew, with its grants. One that others are made of stays.
    select array_agg(format_type(atttypid, atttypmod) order by attnum) into present
    from pg_attribute where attrelid = to_regclass(format('%I.gaq_summaries', current_schema()));
    if present is null then
        select array_agg(statement) into grants from gaq.granted;      -- somebody has dropped it
    elsif present <> types then
        select array_agg(statement) into grants from gaq.grants_on('gaq_summaries') statement;
        begin
            drop view gaq_summaries;
        exception when dependent_objects_still_exist then
            raise warning 'gaq_summaries keeps its types, because something depends on it: %', present;
            return;
        end;
    end if;

    if pair = 'data_pass_id, run_number' then
        execute format('create or replace view gaq_summaries as select %s, %s from gaq.current_summaries', pair, rest);
    else
        execute format('create or replace view gaq_summaries as select data_pass_id, run_number, %s '
                       'from (select %s, bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage, '
                       'missing_verifications_count, undefined_quality_periods_count, not_computable, created_at, updated_at '
                       'from gaq.summaries where %3$s) s '
                       'full join (select %2$s, invalidated_at from gaq.pending where %3$s) p '
                       'using (data_pass_id, run_number)', rest, pair,
                       '(data_pass_id << 32 >> 32)::int = data_pass_id and (run_number << 32 >> 32)::int = run_number');
    end if;
    foreach given in array coalesce(grants, '{}') loop
        begin
            execute given;
        exception when undefined_object or undefined_column then
            null;       -- that role has gone
        end;
    end loop;
end
$$;

comment on view gaq_summaries is
    'Global Aggregated Quality of each data pass and run; stale while invalidated_at is not null. '
    'To ask for recomputation: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...';

create or replace trigger gaq_request instead of insert or update or delete on gaq_summaries
    for each row execute function gaq.request_refresh();

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
        where privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE') and grantee is distinct from to_regrole('gaq_owner')
    loop
        execute format('grant %s on gaq_summaries to %s', allowed.privilege, allowed.role);
    end loop;
end
$$;

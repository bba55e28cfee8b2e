-- The adoption of a table gaq_summaries in which an application has stored summaries itself. 52_gaq_summaries.sql calls these
-- functions in the transaction that creates the view, so that no session finds the name missing. The functions have the rights
-- of the installer: only the owner of a table can rename it.

set role gaq_owner;

-- Copies the rows of the table into gaq.summaries, and renames the table to gaq_summaries_original. Nothing else in the table
-- changes, and uninstall.sql gives the table its name back. A summary that the application had invalidated gets a mark with
-- that time. Any other summary stays fresh until a change or a request marks it. Does nothing if the table is null.
create or replace function gaq.adopt_table(original regclass) returns void
language plpgsql strict set search_path = pg_catalog, pg_temp
as $$
declare
    missing text;
begin
    select string_agg(needed, ', ') into missing
    from unnest(array['data_pass_id', 'run_number', 'bad_run_coverage', 'explicitly_not_bad_run_coverage',
                      'mc_reproducible_coverage', 'missing_verifications_count', 'undefined_quality_periods_count',
                      'not_computable', 'invalidated_at', 'created_at', 'updated_at']) needed
    where not exists (select from pg_attribute where attrelid = original and attname = needed and not attisdropped);
    if missing is not null then
        raise exception 'there is a table gaq_summaries, and gaq-listen cannot adopt it: it has no column %', missing
            using hint = 'rename it';
    end if;

    execute format('lock table %s in access exclusive mode', original);
    execute format('grant select on %s to gaq_owner', original);
    set local role gaq_owner;
    execute format($view$
        create view gaq.original_summaries as
        select data_pass_id::bigint, run_number::bigint,
               bad_run_coverage::double precision,
               explicitly_not_bad_run_coverage::double precision,
               mc_reproducible_coverage::double precision,
               missing_verifications_count::int,
               undefined_quality_periods_count::int,
               case when num_nonnulls(bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage) = 3
                    then coalesce(not_computable::int <> 0, false)
                    else nullif(not_computable::int <> 0, false) end as not_computable,     -- null: never computed
               gaq.utc(invalidated_at) as invalidated_at,
               gaq.utc(created_at) as created_at,
               gaq.utc(updated_at) as updated_at
        from %s
        $view$, original);

    insert into gaq.summaries (data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
                               mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
                               not_computable, created_at, updated_at)
    select data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
           mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
           not_computable, coalesce(gaq.representable(created_at), now()),
           case when not_computable is not null then coalesce(gaq.representable(updated_at), now()) end
    from gaq.original_summaries
    on conflict do nothing;
    -- A pair that is in no data pass gets a mark, too: a worker then removes its summary. (An infinite time tells no age.)
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    select data_pass_id, run_number, coalesce(gaq.representable(invalidated_at), clock_timestamp()), 'taken over'
    from gaq.original_summaries o
    where invalidated_at is not null
       or not exists (select from gaq.source_pairs p
                      where p.data_pass_id = o.data_pass_id and p.run_number = o.run_number);
    reset role;

    execute format('alter table %s rename to gaq_summaries_original', original);
end
$$;

-- Returns the adopted table, which gaq.original_summaries reads. Null: no table was adopted, or somebody has dropped it since.
create or replace function gaq.adopted_table() returns regclass
language sql stable
set search_path = pg_catalog, pg_temp
begin atomic
    select refobjid::regclass as adopted
    from pg_depend
    join pg_rewrite on pg_rewrite.oid = objid
    where classid = 'pg_rewrite'::regclass and ev_class = to_regclass('gaq.original_summaries')
      and refclassid = 'pg_class'::regclass and refobjid <> ev_class
    limit 1;
end;

-- Returns the type of a column of the adopted table, and the expression that gives the view's column this type. Returns no row
-- if the column has the type that gaq-listen gives it. A smallint of a pair becomes an integer.
-- The cast of a pair to int takes the lower half of a bigint, so that no reader gets an error.
-- (Without a search_path of its own, so that a type has the name that the session gives it.)
create or replace function gaq.adopted_column(adopted regclass, column_name text, own_type text)
returns table (type text, expression text)
language sql stable
begin atomic
    select theirs.type, case
        when own_type = 'bigint' and theirs.type = 'integer' then format('(%I << 32 >> 32)::int as %1$I', column_name)
        when own_type = 'boolean' then format('%I::int::%s as %1$I', column_name, theirs.type)
        when own_type like 'timestamp%' and theirs.type like '%without time zone'
            then format('(%I at time zone ''UTC'')::%s as %1$I', column_name, theirs.type)
        else format('%I::%s as %1$I', column_name, theirs.type) end as expression
    from pg_attribute
    join pg_type on pg_type.oid = atttypid
    cross join lateral (
        select case when own_type = 'bigint' and atttypid = 'smallint'::regtype then 'integer'
                    else format_type(atttypid, atttypmod) end as type
    ) theirs
    where attrelid = adopted and attname = column_name and typtype = 'b' and theirs.type <> own_type;
end;

-- Grants each role the rights on the view that the role has on the adopted table. Does nothing if the table is null.
create or replace function gaq.copy_grants(adopted regclass, summaries regclass) returns void
language plpgsql strict set search_path = pg_catalog, pg_temp
as $$
declare
    allowed record;
begin
    for allowed in
        select case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as role,
               privilege_type || coalesce(' (' || quote_ident(attname) || ')', '') as privilege
        from (
            select relacl as acl, null::name as attname from pg_class where oid = adopted
            union all
            select acldefault('r', relowner), null from pg_class where oid = adopted
            union all
            select attacl, attname from pg_attribute where attrelid = adopted
        ) given
        cross join lateral aclexplode(acl)
        where privilege_type in ('SELECT', 'INSERT', 'UPDATE', 'DELETE') and grantee is distinct from to_regrole('gaq_owner')
    loop
        execute format('grant %s on %s to %s', allowed.privilege, summaries, allowed.role);
    end loop;
end
$$;

reset role;

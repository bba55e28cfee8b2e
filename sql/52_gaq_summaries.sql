-- The view gaq_summaries, which web applications and physicists read. They expect this name in the schema of the source
-- tables (see gaq.source_schema in the sources file).

-- (An existing view stays in its schema, even if the source tables have moved.)
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(
        (select nspname from pg_trigger join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = c.relnamespace
         where tgfoid = to_regprocedure('gaq.request_refresh()') and relkind = 'v' limit 1),
        nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;


-- An installation adopts a table of that name (see 51_adoption.sql). The setting gaq.adopted says which table this transaction
-- adopts; it is empty if there is none.
do $$
declare
    original regclass := (select oid from pg_class where oid = to_regclass(format('%I.gaq_summaries', current_schema()))
                                                     and relkind in ('r', 'p'));
begin
    perform gaq.adopt_table(original);
    perform set_config('gaq.adopted', coalesce(original::oid::text, ''), false);
end
$$;


-- The view. Its columns have the types of the adopted table, if there is one, because programs were made for these types: many
-- drivers hand a bigint over as text. If somebody has dropped the adopted table, the view keeps its types.
-- Where a pair has other types than ours, the view casts the pair on both sides of the join (see gaq.current_summaries), so that
-- a condition on the view's columns still reaches both sides. What equals the cast equals the bigint, whose index serves it.
-- The view leaves out rows whose numbers do not fit into an int. (No CASE: only where the cast is strict PostgreSQL takes a
-- condition through the FULL JOIN.)
do $$
declare
    typed_as regclass := coalesce(gaq.adopted_table(), to_regclass(format('%I.gaq_summaries', current_schema())));
    pair text;
    rest text;
    types text[];               -- of the view's columns
    present text[];             -- of those that it has
    grants text[];
    given text;
begin
    select array_agg(coalesce(adopted.type, ours.type) order by place),
           string_agg(coalesce(adopted.expression, name), ', ' order by place) filter (where place <= 2),
           string_agg(coalesce(adopted.expression, name), ', ' order by place) filter (where place > 2)
    into types, pair, rest
    from (values (1, 'data_pass_id', 'bigint'), (2, 'run_number', 'bigint'),
                 (3, 'bad_run_coverage', 'double precision'), (4, 'explicitly_not_bad_run_coverage', 'double precision'),
                 (5, 'mc_reproducible_coverage', 'double precision'), (6, 'missing_verifications_count', 'integer'),
                 (7, 'undefined_quality_periods_count', 'integer'), (8, 'not_computable', 'boolean'),
                 (9, 'invalidated_at', 'timestamp with time zone'), (10, 'created_at', 'timestamp with time zone'),
                 (11, 'updated_at', 'timestamp with time zone')) ours (place, name, type)
    left join lateral gaq.adopted_column(typed_as, ours.name, ours.type) adopted on true;

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

-- gaq_owner owns the view, so the view reads what gaq_owner may read. (A new owner needs the right to create in the schema.)
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

-- A role that could read or write the adopted table can do the same with the view.
do $$ begin
    perform gaq.copy_grants(nullif(current_setting('gaq.adopted'), '')::oid, 'gaq_summaries');
end $$;

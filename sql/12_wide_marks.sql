-- What a reader asks of wide marks, however many wait.
-- Readers keep plans that were made while there was no mark: from such a plan every look at the marks would go through all
-- of them. So functions look, which are planned apart: without sequential scans, and by an order that one index has. (With
-- "kind = of_kind" the order of another index would do as well, which would go through all kinds: hence two inequalities.)
-- A view calls functions with the rights of its reader, who may have been given gaq_summaries alone: see 70_grants.sql.

set role gaq_owner;

-- The oldest mark of a kind that names one of these keys; null: there is none.
create or replace function gaq.oldest_wide_mark(of_kind text, keys bigint[]) returns timestamptz
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
begin
    return (
        select min(first.invalidated_at)
        from unnest(keys) named (key)
        cross join lateral (
            select w.kind, w.key, w.invalidated_at
            from gaq.wide_invalidations w
            where (w.kind, w.key) >= (of_kind, named.key)
            order by w.kind, w.key, w.invalidated_at
            limit 1
        ) first
        where first.kind = of_kind and first.key = named.key
    );
end
$$;

-- The first marks of a kind in the order of what they name, and of their age; of a kind that names nothing, the oldest.
create or replace function gaq.first_wide_marks(of_kind text, how_many int)
returns table (key bigint, invalidated_at timestamptz)
language plpgsql stable security definer rows 10
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
#variable_conflict use_column
begin
    return query
    select first.key, first.invalidated_at
    from (
        select w.kind, w.key, w.invalidated_at
        from gaq.wide_invalidations w
        where w.kind >= of_kind and w.kind <= of_kind
        order by w.kind, w.key, w.invalidated_at
        limit how_many
    ) first;
end
$$;

-- How many marks of a kind wait, counted up to at_most.
create or replace function gaq.wide_marks(of_kind text, at_most int default 1) returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
return (select count(*) from gaq.first_wide_marks(of_kind, at_most));


-- The same for kinds that name a place as well: of a flag in something, the run or the data pass. (Without sorts: the index
-- that has the order is the one that is meant.)

-- The first marks of such a kind.
create or replace function gaq.first_placed_marks(of_kind text, how_many int)
returns table (key bigint, place bigint, invalidated_at timestamptz)
language plpgsql stable security definer rows 10
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_incremental_sort = off
as $$
#variable_conflict use_column
begin
    return query
    select first.key, first.place, first.invalidated_at
    from (
        select w.kind, w.key, w.place, w.invalidated_at
        from gaq.wide_invalidations w
        where w.kind >= of_kind and w.kind <= of_kind
        order by w.kind, w.key, w.invalidated_at
        limit how_many
    ) first;
end
$$;

-- The keys that marks of a kind name at a place, each once, from the first key to the last.
create or replace function gaq.keys_marked_at(of_kind text, at_place bigint, first_key bigint, last_key bigint) returns bigint[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_incremental_sort = off
as $$
begin
    return array(
        select named.key
        from (
            select distinct on (w.kind, w.place, w.key) w.kind, w.place, w.key
            from gaq.wide_invalidations w
            where w.place is not null
              and (w.kind, w.place, w.key) >= (of_kind, at_place, first_key)
              and (w.kind, w.place, w.key) <= (of_kind, at_place, last_key)
            order by w.kind, w.place, w.key
        ) named
    );
end
$$;

-- The first and the last of these keys; null: there is none.
create or replace function gaq.bounds_marked_at(of_kind text, at_place bigint) returns bigint[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_incremental_sort = off
as $$
begin
    return (
        select array[first.key, last.key]
        from (
            select w.kind, w.place, w.key
            from gaq.wide_invalidations w
            where w.place is not null and (w.kind, w.place) >= (of_kind, at_place)
            order by w.kind, w.place, w.key
            limit 1
        ) first
        cross join (
            select w.kind, w.place, w.key
            from gaq.wide_invalidations w
            where w.place is not null and (w.kind, w.place) <= (of_kind, at_place)
            order by w.kind desc, w.place desc, w.key desc
            limit 1
        ) last
        where first.kind = of_kind and first.place = at_place and last.kind = of_kind and last.place = at_place
    );
end
$$;

-- Those of these keys that marks of a kind name at a place, each once.
create or replace function gaq.which_are_marked_at(of_kind text, at_place bigint, keys bigint[]) returns bigint[]
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_incremental_sort = off
as $$
begin
    return array(
        select distinct w.key
        from gaq.wide_invalidations w
        where w.kind = of_kind and w.place = at_place and w.key = any (keys)
    );
end
$$;

-- The oldest mark of a kind that names one of these keys at a place; null: there is none.
create or replace function gaq.oldest_mark_at(of_kind text, at_place bigint, keys bigint[]) returns timestamptz
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
set enable_sort = off
set enable_incremental_sort = off
as $$
begin
    return (
        select min(first.invalidated_at)
        from unnest(keys) named (key)
        cross join lateral (
            select w.kind, w.place, w.key, w.invalidated_at
            from gaq.wide_invalidations w
            where w.place is not null and (w.kind, w.place, w.key) >= (of_kind, at_place, named.key)
            order by w.kind, w.place, w.key, w.invalidated_at
            limit 1
        ) first
        where first.kind = of_kind and first.place = at_place and first.key = named.key
    );
end
$$;

-- As in 70_grants.sql: during an upgrade readers call them before that is applied.
grant execute on function gaq.oldest_wide_mark(text, bigint[]), gaq.wide_marks(text, int), gaq.first_wide_marks(text, int),
    gaq.first_placed_marks(text, int), gaq.keys_marked_at(text, bigint, bigint, bigint),
    gaq.bounds_marked_at(text, bigint),
    gaq.which_are_marked_at(text, bigint, bigint[]), gaq.oldest_mark_at(text, bigint, bigint[])
    to public;

reset role;

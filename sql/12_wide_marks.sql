-- Functions with which a reader looks for wide marks, at a cost that does not grow with the number of marks.
-- A reader may keep a plan that was made while there was no mark, and such a plan would read all marks each time. So
-- functions read the marks, because PostgreSQL plans a function apart from its caller. They run without sequential scans,
-- and in an order that only one index has. (With "kind = of_kind" another index would have a suitable order as well, but
-- would read all kinds. So the functions use two inequalities.)
-- A view calls functions with the rights of its reader, who may have rights on gaq_summaries alone: see gaq.grant_wide_marks.

set role gaq_owner;

-- Returns the time of the oldest mark of a kind that names one of these keys, or null if there is none.
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

-- Returns the first marks of a kind, in the order of their keys and then of their age. For a kind without keys, these are
-- the oldest marks.
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

-- Returns the number of marks of a kind, counted up to at_most.
create or replace function gaq.wide_marks(of_kind text, at_most int default 1) returns bigint
language sql stable security definer
set search_path = pg_catalog, pg_temp
return (select count(*) from gaq.first_wide_marks(of_kind, at_most));


-- The next functions do the same for kinds that also name a place: the run of a flag in run, or the data pass of a flag
-- in data pass. (Sorts are disabled, so that PostgreSQL uses the index that has the order.)

-- Returns the first marks of a kind with places.
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

-- Returns the keys, each once, between first_key and last_key that marks of a kind name at a place.
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

-- Returns the first and the last key that marks of a kind name at a place, or null if there is none.
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

-- Returns those of the given keys, each once, that marks of a kind name at a place.
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

-- Returns the time of the oldest mark of a kind that names one of these keys at a place, or null if there is none.
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

-- Lets PUBLIC execute these functions. A view calls functions with the rights of its reader, who may have been given
-- gaq_summaries alone. Nobody can call them otherwise without the right to use schema gaq. During an upgrade, readers call
-- them before 70_grants.sql is applied. That file revokes everything from PUBLIC, and then calls this function again.
create or replace function gaq.grant_wide_marks() returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    grant execute on function gaq.oldest_wide_mark(text, bigint[]), gaq.wide_marks(text, int),
        gaq.first_wide_marks(text, int), gaq.first_placed_marks(text, int),
        gaq.keys_marked_at(text, bigint, bigint, bigint), gaq.bounds_marked_at(text, bigint),
        gaq.which_are_marked_at(text, bigint, bigint[]), gaq.oldest_mark_at(text, bigint, bigint[])
        to public;
end
$$;

do $$ begin perform gaq.grant_wide_marks(); end $$;

reset role;

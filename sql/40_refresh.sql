-- The refresh: takes the oldest pairs that are due, computes and stores them. A worker calls it, and so can anybody with
-- psql or pg_cron:
--   select * from gaq.refresh(max_pairs => 100);     -- one batch
--   call gaq.drain();                                -- batch after batch, with a commit after each

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

-- When a pair is due that was first and last marked at these times and refreshed at that time before. A pair that was
-- quiet is due at once; one that has just been refreshed waits until it has been quiet, but not longer than max_wait.
create or replace function gaq.due_at(
    first_mark timestamptz, last_mark timestamptz, refreshed timestamptz, quiet interval, max_wait interval
) returns timestamptz
language sql immutable parallel safe
return case when refreshed is null or refreshed + quiet <= first_mark then first_mark
            else least(last_mark + quiet, first_mark + max_wait) end;


-- Seconds until something is due, by the server's clock. Null: there is no mark at all. Zero: something is due already,
-- so another worker has claimed it, or it has just come.
create or replace function gaq.next_due(quiet interval default '0', max_wait interval default '0')
returns double precision
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select case
        when exists (select from gaq.wide_invalidations) then 0
        when exists (select from gaq.invalidations where invalidated_at <= clock_timestamp() - max_wait) then 0
        else (
            select case when count(*) > 0      -- greatest() would make a zero of no mark
                        then greatest(0, date_part('epoch', min(gaq.due_at(first_mark, last_mark, s.updated_at, quiet, max_wait))
                                                            - clock_timestamp())) end
            from (
                select data_pass_id, run_number, min(invalidated_at) as first_mark, max(invalidated_at) as last_mark
                from gaq.invalidations
                group by data_pass_id, run_number
            ) marked
            left join gaq.summaries s using (data_pass_id, run_number)
        )
    end;
end;


-- Wide marks become marks of pairs. Returns how many wide marks were expanded.
create or replace function gaq.expand(max_marks int default 1000) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    ids bigint[];
begin
    select array_agg(id) into ids
    from (select id from gaq.wide_invalidations order by id limit max_marks for update skip locked) w;
    if ids is null then
        return 0;
    end if;
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    select data_pass_id, run_number, min(invalidated_at), cause
    from gaq.expanded_invalidations
    where wide_id = any (ids)
    group by data_pass_id, run_number, cause;
    delete from gaq.wide_invalidations where id = any (ids);
    return cardinality(ids);
end
$$;


-- Refreshes up to max_pairs due pairs, the ones first marked first, and returns them. All in the caller's transaction,
-- which must be READ COMMITTED: each statement below relies on a snapshot of its own, taken after the one before it.
create or replace function gaq.refresh(
    max_pairs int default 100,
    quiet interval default '0',             -- see gaq.due_at; zero: whatever is marked is due
    max_wait interval default '0',
    announce bool default true              -- notify gaq_refreshed of the pairs, with the commit
)
returns table (
    data_pass_id bigint,
    data_pass text,                         -- its name
    run_number bigint,
    invalidated_at timestamptz,             -- stale since
    seconds_stale double precision,
    causes text,
    good_before double precision,           -- explicitly_not_bad_run_coverage, before and after
    good_after double precision,
    removed bool                            -- the pair is in no data pass any more: so is its summary
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set row_security = off
set plan_cache_mode = force_generic_plan    -- planning would take longer than refreshing a pair
set enable_seqscan = off                    -- a plan made while the marks were few must do when they are many
as $$
#variable_conflict use_column
declare
    at timestamptz := clock_timestamp();
    expanded int;
    scanned int := greatest(4 * max_pairs, 1000);
    found_marks int;
    unseeded bool;
    passes bigint[];
    runs bigint[];
    goods double precision[];
    since timestamptz[];
    why text[];
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'gaq.refresh needs a READ COMMITTED transaction, this one is %',
                        upper(current_setting('transaction_isolation'))
            using hint = 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED', errcode = 'invalid_transaction_state';
    end if;
    if max_pairs is null or max_pairs < 1 then
        raise exception 'max_pairs must be at least 1' using errcode = 'invalid_parameter_value';
    end if;

    -- The oldest marks, in the order of the index. When they hold too few pairs to claim, look further: a pair may have
    -- any number of marks, and another worker may have claimed the oldest.
    expanded := gaq.expand();
    loop
        select count(*), coalesce(bool_or(s.data_pass_id is null), false) into found_marks, unseeded
        from (select data_pass_id, run_number from gaq.invalidations order by invalidated_at limit scanned) m
        left join gaq.summaries s using (data_pass_id, run_number);

        -- The row of a summary is what a claim locks, so each pair needs one first.
        if unseeded then
            perform from gaq.seeding for update skip locked;
            if found then
                -- (Not those that are seen: another worker may be removing one, which must neither be waited for nor
                -- come back.)
                insert into gaq.summaries (data_pass_id, run_number)
                select distinct data_pass_id, run_number
                from (select data_pass_id, run_number from gaq.invalidations order by invalidated_at limit scanned) m
                where not exists (select from gaq.summaries s
                                  where s.data_pass_id = m.data_pass_id and s.run_number = m.run_number)
                on conflict do nothing;
            end if;
        end if;

        -- Claim: nobody else refreshes these pairs until we commit. Pairs that somebody else holds are passed over.
        select array_agg(data_pass_id), array_agg(run_number), array_agg(good)
        into passes, runs, goods
        from (
            select s.data_pass_id, s.run_number, s.explicitly_not_bad_run_coverage as good
            from (
                select data_pass_id, run_number, min(invalidated_at) as first_mark
                from (select data_pass_id, run_number, invalidated_at
                      from gaq.invalidations order by invalidated_at limit scanned) oldest
                group by data_pass_id, run_number
            ) m
            join gaq.summaries s using (data_pass_id, run_number)
            where m.first_mark > at                 -- the server's clock was set back
               or m.first_mark <= at - max_wait
               or gaq.due_at(m.first_mark,
                             (select max(l.invalidated_at) from gaq.invalidations l
                              where l.data_pass_id = s.data_pass_id and l.run_number = s.run_number),
                             s.updated_at, quiet, max_wait) <= at
            order by m.first_mark
            limit max_pairs
            for no key update of s skip locked
        ) claimed;
        exit when cardinality(passes) >= max_pairs;
        if found_marks >= scanned then
            scanned := scanned * 8;
        elsif passes is null and expanded > 0 then
            expanded := gaq.expand();       -- what was expanded stands for no pair, or for none that is due
        else
            exit;
        end if;
    end loop;
    if passes is null then
        return;
    end if;

    -- The marks of these pairs that we see, no others: what is committed from here on keeps its mark.
    -- (offset 0: an index scan for each pair, never a scan of all marks for each.)
    with folded as (
        delete from gaq.invalidations i
        where i.ctid = any (array(
            select m.mark
            from unnest(passes, runs) claimed (data_pass_id, run_number),
            lateral (select i.ctid as mark from gaq.invalidations i
                     where i.data_pass_id = claimed.data_pass_id and i.run_number = claimed.run_number offset 0) m))
        returning i.data_pass_id, i.run_number, i.invalidated_at, i.cause
    )
    select array_agg(data_pass_id), array_agg(run_number), array_agg(good), array_agg(first_mark), array_agg(causes)
    into passes, runs, goods, since, why
    from (
        select data_pass_id, run_number, min(good) as good,
               min(invalidated_at) as first_mark, string_agg(distinct cause, ', ' order by cause) as causes
        from folded
        join unnest(passes, runs, goods) claimed (data_pass_id, run_number, good) using (data_pass_id, run_number)
        group by data_pass_id, run_number
    ) pair;
    if passes is null then      -- another worker had folded them between our look and our claim
        return;
    end if;

    -- A later statement, so a later snapshot: it sees every change whose mark has just been deleted.
    return query
    with claimed as (
        select * from unnest(passes, runs, goods, since, why) u (data_pass_id, run_number, good, first_mark, causes)
    ), present as materialized (
        select c.data_pass_id, c.run_number
        from claimed c
        where exists (select from gaq.source_pairs p
                      where p.data_pass_id = c.data_pass_id and p.run_number = c.run_number)
    ), gone as (
        delete from gaq.summaries s using claimed c
        where s.data_pass_id = c.data_pass_id and s.run_number = c.run_number
          and not exists (select from present p where p.data_pass_id = s.data_pass_id and p.run_number = s.run_number)
    ), fresh as materialized (
        select f.* from gaq.compute((select array_agg(data_pass_id) from present), (select array_agg(run_number) from present)) f
    ), stored as (
        update gaq.summaries s
        set bad_run_coverage = f.bad_run_coverage,
            explicitly_not_bad_run_coverage = f.explicitly_not_bad_run_coverage,
            mc_reproducible_coverage = f.mc_reproducible_coverage,
            missing_verifications_count = f.missing_verifications_count,
            undefined_quality_periods_count = f.undefined_quality_periods_count,
            not_computable = f.not_computable,
            updated_at = clock_timestamp()
        from fresh f
        where s.data_pass_id = f.data_pass_id and s.run_number = f.run_number
    )
    select c.data_pass_id, named.name, c.run_number,
           c.first_mark, date_part('epoch', clock_timestamp() - c.first_mark), c.causes,
           c.good, f.explicitly_not_bad_run_coverage, f.data_pass_id is null
    from claimed c
    left join fresh f on f.data_pass_id = c.data_pass_id and f.run_number = c.run_number
    left join gaq.source_data_passes named on named.id = c.data_pass_id
    order by c.first_mark;

    if announce then
        perform gaq.announce(passes, runs);
    end if;
end
$$;


-- Tells downstream listeners which pairs were refreshed: '[[data_pass_id, run_number], ...]', in as many notifications
-- as their limit of 8000 bytes asks for.
create or replace function gaq.announce(passes bigint[], runs bigint[]) returns void
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    select pg_notify('gaq_refreshed', json_agg(json_build_array(data_pass_id, run_number))::text)
    from (
        select data_pass_id, run_number, (row_number() over () - 1) / 150 as message
        from unnest(passes, runs) u (data_pass_id, run_number)
    ) pair
    group by message;
end;


-- Drains the backlog, with a commit after each batch.
create or replace procedure gaq.drain(max_pairs int default 400)
language plpgsql
as $$
declare
    refreshed int;
begin
    loop
        select count(*) into refreshed from gaq.refresh(max_pairs);
        commit;
        exit when refreshed = 0;
    end loop;
end
$$;

revoke all on all routines in schema gaq from public;
reset role;

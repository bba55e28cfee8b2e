-- The refresh claims the oldest due pairs, computes them and stores their summaries. A worker calls gaq.refresh, and an
-- operator can call it with psql or pg_cron:
--   select * from gaq.refresh(max_pairs => 100);     -- one batch
--   call gaq.drain();                                -- batch after batch (45_drain.sql)

set role gaq_owner;

-- Refreshes up to max_pairs due pairs, in the order of their first marks, and returns them. If there are more marks than one
-- call reads, an eighth of the pairs comes from the newest marks. New changes then do not wait behind a long backlog, and
-- the backlog still shrinks, however many changes arrive. The function runs in the caller's transaction, which must be READ
-- COMMITTED, because each statement below relies on a snapshot of its own, taken after the statement before it. A gate line
-- stands before each of these statements. A test makes a worker wait there.
create or replace function gaq.refresh(
    max_pairs int default 100,
    debounce interval default '0',          -- see gaq.due_at; zero: every marked pair is due
    max_wait interval default '0',
    announce bool default true,             -- notify gaq_refreshed of the pairs, with the commit
    worker text default session_user,       -- the name of the worker that refreshes
    only_data_pass_ids bigint[] default null,   -- these pairs and no others, if they are marked, due or not
    only_run_numbers bigint[] default null
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
    removed bool,                           -- the pair is in no data pass any more, so its summary was deleted
    error text,                             -- why the pair could not be computed, keeps its value and stays stale; else null
    attempts int,                           -- how often the pair failed in a row
    next_try double precision               -- seconds until workers try the pair again
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
    scanned int;
    looked_up int;
    found_marks bigint;
    passes bigint[];
    runs bigint[];
    since timestamptz[];
    why text[];
    newest record;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'gaq.refresh needs a READ COMMITTED transaction, this one is %',
                        upper(current_setting('transaction_isolation'))
            using hint = 'BEGIN ISOLATION LEVEL READ COMMITTED, or SET default_transaction_isolation = ''read committed''',
                  errcode = 'invalid_transaction_state';
    end if;
    if max_pairs is null or max_pairs not between 1 and 100000 then
        raise exception 'max_pairs must be between 1 and 100000: they are refreshed in one transaction'
            using errcode = 'invalid_parameter_value';
    end if;
    scanned := greatest(4 * max_pairs, 1000);
    looked_up := greatest(10 * max_pairs, 1000);

    -- Before anything else: a refresh waits for no table, see 27_locks.sql.
    perform gaq.lock_sources();

    -- Who pauses commits that first and then waits until nobody holds this lock; so whoever gets it later sees the pause.
    perform pg_try_advisory_xact_lock_shared(gaq.batch_key());
    if exists (select from gaq.paused) or exists (select from gaq.detached) then
        return;
    end if;

    -- The pairs of the oldest marks, in the order of the index. When too few of them can be claimed, look further: a
    -- pair may have any number of marks, and another worker may have claimed the oldest. (Wide marks, too: many
    -- verifications are of the same pair, which is refreshed once for those that are expanded together.)
    expanded := gaq.expand(looked_up);
    loop
        -- [gate] scan
        select coalesce(sum(marks), 0), array_agg(data_pass_id), array_agg(run_number), array_agg(first_mark)
        into found_marks, passes, runs, since
        from (
            select data_pass_id, run_number, min(invalidated_at) as first_mark, count(*) as marks
            from (
                select data_pass_id, run_number, invalidated_at
                from gaq.invalidations
                where only_data_pass_ids is null
                   or (data_pass_id, run_number) in (select * from unnest(only_data_pass_ids, only_run_numbers))
                order by invalidated_at
                limit scanned
            ) oldest
            group by data_pass_id, run_number
            order by first_mark, data_pass_id, run_number      -- a batch of few data passes costs less, see 30_compute.sql
        ) marked;

        -- Those of the newest marks go before them.
        if found_marks >= scanned and only_data_pass_ids is null then
            select array_agg(data_pass_id) as passes, array_agg(run_number) as runs, array_agg(first_mark) as since
            into newest
            from (
                select data_pass_id, run_number,
                       (select min(i.invalidated_at) from gaq.invalidations i
                        where i.data_pass_id = last.data_pass_id and i.run_number = last.run_number) as first_mark
                from (
                    select data_pass_id, run_number from gaq.invalidations order by invalidated_at desc limit max_pairs / 8
                ) last
                where (data_pass_id, run_number) not in (select * from unnest(passes, runs))
                group by data_pass_id, run_number
            ) marked;
            passes := newest.passes || passes;
            runs := newest.runs || runs;
            since := newest.since || since;
        end if;

        -- The row of a summary is what a claim locks, so each pair needs one first. (Here and below,
        -- offset 0 and locking clauses are planner fences, see docs/architecture.md.)
        -- [gate] seed
        if exists (select from unnest(passes, runs) m (data_pass_id, run_number)
                   where not exists (select from gaq.summaries s
                                     where s.data_pass_id = m.data_pass_id and s.run_number = m.run_number offset 0)) then
            perform from gaq.insert_lock for update skip locked;
            if found then
                -- (Not those that are seen: another worker may be removing one, which must neither be waited for nor
                -- come back. Nor those whose mark is gone: another worker may have removed one since our look.)
                -- [gate] insert
                insert into gaq.summaries (data_pass_id, run_number)
                select data_pass_id, run_number
                from unnest(passes, runs) m (data_pass_id, run_number)
                where not exists (select from gaq.summaries s
                                  where s.data_pass_id = m.data_pass_id and s.run_number = m.run_number offset 0)
                  and exists (select from gaq.invalidations i         -- (offset 0: by the index, one by one)
                              where i.data_pass_id = m.data_pass_id and i.run_number = m.run_number offset 0)
                on conflict do nothing;
            end if;
        end if;

        -- Claim: nobody else refreshes these pairs until we commit. Pairs that somebody else holds are passed over.
        -- [gate] claim
        select array_agg(data_pass_id), array_agg(run_number)
        into passes, runs
        from (
            select s.data_pass_id, s.run_number
            from (
                select * from unnest(passes, runs, since) with ordinality u (data_pass_id, run_number, first_mark, place)
                order by place
            ) m
            cross join lateral (
                select s.data_pass_id, s.run_number
                from gaq.summaries s
                left join gaq.failures e using (data_pass_id, run_number)
                where s.data_pass_id = m.data_pass_id and s.run_number = m.run_number
                  and (only_data_pass_ids is not null
                       or ((m.first_mark <= at - max_wait
                            or m.first_mark > at            -- the server's clock was set back
                            or gaq.due_at(m.first_mark,
                                          (select max(l.invalidated_at) from gaq.invalidations l
                                           where l.data_pass_id = s.data_pass_id and l.run_number = s.run_number),
                                          s.updated_at, debounce, max_wait) <= at)
                           and (e.next_try_at is null or e.next_try_at <= at or e.last_failed_at > at
                                or (select count(*) > 1 from gaq.invalidations l
                                    where l.data_pass_id = s.data_pass_id and l.run_number = s.run_number))))
                for no key update of s skip locked
            ) s
            limit max_pairs
        ) claimed;
        exit when cardinality(passes) >= max_pairs;
        if found_marks >= scanned then
            scanned := scanned * 8;
        elsif passes is null and expanded > 0 then
            expanded := gaq.expand(looked_up);      -- what was expanded stands for no pair, or for none that is due
        else
            exit;
        end if;
    end loop;
    if passes is null then
        return;
    end if;

    -- The marks of these pairs that we see, no others: what is committed from here on keeps its mark.
    -- [gate] delete
    with folded as (
        delete from gaq.invalidations i
        where i.ctid = any (array(
            select m.mark
            from unnest(passes, runs) claimed (data_pass_id, run_number),
            lateral (select i.ctid as mark from gaq.invalidations i
                     where i.data_pass_id = claimed.data_pass_id and i.run_number = claimed.run_number offset 0) m))
        returning i.data_pass_id, i.run_number, i.invalidated_at, i.cause
    )
    select array_agg(data_pass_id), array_agg(run_number), array_agg(first_mark), array_agg(causes)
    into passes, runs, since, why
    from (
        select data_pass_id, run_number,
               min(invalidated_at) as first_mark, string_agg(distinct cause, ', ' order by cause) as causes
        from folded
        group by data_pass_id, run_number
    ) pair;
    if passes is null then      -- another worker had folded them between our look and our claim
        return;
    end if;

    -- A later statement, so a later snapshot: it sees every change whose mark has just been deleted.
    -- [gate] compute
    return query
    with claimed as (
        select u.*, s.explicitly_not_bad_run_coverage as good, s.bad_run_coverage as bad, s.mc_reproducible_coverage as mcr,
               s.missing_verifications_count as unverified, s.undefined_quality_periods_count as undefined, s.not_computable
        from unnest(passes, runs, since, why) u (data_pass_id, run_number, first_mark, causes)
        cross join lateral (
            select s.* from gaq.summaries s
            where s.data_pass_id = u.data_pass_id and s.run_number = u.run_number offset 0
        ) s
    ), present as materialized (
        select c.data_pass_id, c.run_number
        from claimed c
        where exists (select from gaq.source_pairs p
                      where p.data_pass_id = c.data_pass_id and p.run_number = c.run_number offset 0)
    ), gone as (
        delete from gaq.summaries s
        where s.ctid = any (array(
            select left_over.row
            from claimed c,
            lateral (select s.ctid as row from gaq.summaries s
                     where s.data_pass_id = c.data_pass_id and s.run_number = c.run_number offset 0) left_over
            where not exists (select from present p where p.data_pass_id = c.data_pass_id and p.run_number = c.run_number)))
    ), computed as materialized (
        select f.* from gaq.compute_apart((select array_agg(data_pass_id) from present), (select array_agg(run_number) from present)) f
    ), stored as (
        -- The row is there: we have claimed it. (An update would join; this asks the index for each pair.)
        insert into gaq.summaries (data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage,
                                   mc_reproducible_coverage, missing_verifications_count, undefined_quality_periods_count,
                                   not_computable, updated_at, seconds_stale, refreshed_for, refreshed_by)
        select f.data_pass_id, f.run_number, f.bad_run_coverage, f.explicitly_not_bad_run_coverage,
               f.mc_reproducible_coverage, f.missing_verifications_count, f.undefined_quality_periods_count,
               f.not_computable, clock_timestamp(), date_part('epoch', clock_timestamp() - c.first_mark), c.causes, worker
        from computed f
        join claimed c using (data_pass_id, run_number)
        where f.error is null
        on conflict (data_pass_id, run_number) do update
        set bad_run_coverage = excluded.bad_run_coverage,
            explicitly_not_bad_run_coverage = excluded.explicitly_not_bad_run_coverage,
            mc_reproducible_coverage = excluded.mc_reproducible_coverage,
            missing_verifications_count = excluded.missing_verifications_count,
            undefined_quality_periods_count = excluded.undefined_quality_periods_count,
            not_computable = excluded.not_computable,
            updated_at = excluded.updated_at,
            seconds_stale = excluded.seconds_stale,
            refreshed_for = excluded.refreshed_for,
            refreshed_by = excluded.refreshed_by
    ), changed as (
        -- What is kept of a change, by pairs whose values differ. One that has left is in no row of computed.
        insert into gaq.changes
        select c.data_pass_id, c.run_number, clock_timestamp(), c.causes, worker, f.data_pass_id is null,
               c.bad, f.bad_run_coverage, c.good, f.explicitly_not_bad_run_coverage, c.mcr, f.mc_reproducible_coverage,
               c.unverified, f.missing_verifications_count, c.undefined, f.undefined_quality_periods_count,
               c.not_computable, f.not_computable
        from claimed c
        left join computed f on f.data_pass_id = c.data_pass_id and f.run_number = c.run_number
        where f.error is null and (select keep_changes > '0' from gaq.settings)
          and (c.bad, c.good, c.mcr, c.unverified, c.undefined, c.not_computable)
              is distinct from (f.bad_run_coverage, f.explicitly_not_bad_run_coverage, f.mc_reproducible_coverage,
                                f.missing_verifications_count, f.undefined_quality_periods_count, f.not_computable)
    ), failing as materialized (
        select n.*
        from (
            select array_agg(data_pass_id) as passes, array_agg(run_number) as runs,
                   array_agg(error) as errors, array_agg(state) as states
            from computed
            where error is not null
            having count(*) > 0
        ) f
        cross join lateral gaq.record_failures(f.passes, f.runs, f.errors, f.states) n
    ), marked_again as (
        insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
        select c.data_pass_id, c.run_number, c.first_mark, c.causes
        from claimed c
        join failing using (data_pass_id, run_number)
    ), healed as (
        delete from gaq.failures e using claimed c
        where e.data_pass_id = c.data_pass_id and e.run_number = c.run_number
          and not exists (select from computed f
                          where f.data_pass_id = e.data_pass_id and f.run_number = e.run_number and f.error is not null)
    )
    select c.data_pass_id, named.name::text, c.run_number,
           c.first_mark, date_part('epoch', clock_timestamp() - c.first_mark), c.causes,
           c.good, f.explicitly_not_bad_run_coverage, f.data_pass_id is null,
           failing.error, failing.attempts, failing.next_try
    from claimed c
    left join computed f on f.data_pass_id = c.data_pass_id and f.run_number = c.run_number
    left join failing on failing.data_pass_id = c.data_pass_id and failing.run_number = c.run_number
    left join gaq.source_data_passes named on named.id = c.data_pass_id
    order by c.first_mark;

    perform gaq.trim_changes(2 * max_pairs);

    -- (With the notification queue full, the commit would fail; who listens is far behind in any case.)
    -- [gate] end
    if announce and pg_notification_queue_usage() < 0.5 then
        perform gaq.announce(array_agg(u.data_pass_id), array_agg(u.run_number))
        from unnest(passes, runs) u (data_pass_id, run_number)
        where not exists (select from gaq.failures e
                          where e.data_pass_id = u.data_pass_id and e.run_number = u.run_number);
    end if;
end
$$;


-- Announces the refreshed pairs to listeners as '[[data_pass_id, run_number], ...]', in several notifications if one would
-- exceed the limit of 8000 bytes. (PL/pgSQL keeps the plan. PostgreSQL before 18 plans a SQL function in each call.)
create or replace function gaq.announce(passes bigint[], runs bigint[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    perform pg_notify('gaq_refreshed', json_agg(json_build_array(data_pass_id, run_number))::text)
    from (
        select data_pass_id, run_number, (row_number() over () - 1) / 150 as message
        from unnest(passes, runs) u (data_pass_id, run_number)
    ) pair
    group by message;
end
$$;

reset role;

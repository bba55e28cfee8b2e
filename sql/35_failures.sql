-- Functions that separate failing pairs from the other pairs of a batch, and record the failures, so that workers try the
-- failing pairs again.

set role gaq_owner;

-- Computes pairs, and separates failing pairs from the others. If the computation raises an error, the function halves
-- the array until the failing pair is alone, and returns that pair with its error and without values. The function raises
-- errors that are not caused by a pair: no memory, no disk or a cancellation (classes 53, 57, 58), and a conflict with
-- another session (classes 40, 55).
create or replace function gaq.compute_apart(data_pass_ids bigint[], run_numbers bigint[])
returns table (
    data_pass_id bigint,
    run_number bigint,
    bad_run_coverage double precision,
    explicitly_not_bad_run_coverage double precision,
    mc_reproducible_coverage double precision,
    missing_verifications_count int,
    undefined_quality_periods_count int,
    not_computable bool,
    error text,
    state text                              -- its SQLSTATE
)
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
    half int := cardinality(data_pass_ids) / 2;
    said text;
begin
    return query select c.*, null::text, null::text from gaq.compute(data_pass_ids, run_numbers) c;
exception when others then
    if left(sqlstate, 2) in ('40', '53', '55', '57', '58') then
        raise;
    end if;
    -- A missing right or table (class 42) is the same for all of them.
    if half = 0 or left(sqlstate, 2) = '42' then
        said := sqlerrm;
        return query
        select u.data_pass_id, u.run_number, null::double precision, null::double precision, null::double precision,
               null::int, null::int, null::bool, said, sqlstate
        from unnest(data_pass_ids, run_numbers) u (data_pass_id, run_number);
    else
        return query select * from gaq.compute_apart(data_pass_ids[:half], run_numbers[:half]);
        return query select * from gaq.compute_apart(data_pass_ids[half + 1:], run_numbers[half + 1:]);
    end if;
end
$$;


-- Records failing pairs, and returns in how many seconds a worker may try each pair again. The delay is one second at
-- first, and doubles with each failure up to five minutes. It varies at random by a quarter, so that the pairs are not
-- all due at once.
create or replace function gaq.record_failures(data_pass_ids bigint[], run_numbers bigint[], errors text[], states text[])
returns table (data_pass_id bigint, run_number bigint, error text, attempts int, next_try double precision)
language sql
set search_path = pg_catalog, pg_temp
begin atomic
    insert into gaq.failures as f (data_pass_id, run_number, error, sqlstate, attempts,
                                   first_failed_at, last_failed_at, next_try_at)
    select u.data_pass_id, u.run_number, u.error, u.state, 1,
           clock_timestamp(), clock_timestamp(), clock_timestamp() + interval '1 s' * (0.75 + random() / 2)
    from unnest(data_pass_ids, run_numbers, errors, states) u (data_pass_id, run_number, error, state)
    on conflict on constraint failures_pkey do update
    set error = excluded.error, sqlstate = excluded.sqlstate, attempts = f.attempts + 1,
        last_failed_at = excluded.last_failed_at,
        next_try_at = excluded.last_failed_at
                      + (excluded.next_try_at - excluded.last_failed_at) * least(300, 2 ^ least(f.attempts, 9))
    returning f.data_pass_id, f.run_number, f.error, f.attempts, date_part('epoch', f.next_try_at - f.last_failed_at);
end;


-- Records the failure of a pair whose computation the server aborted (because of a statement_timeout, or for lack of
-- memory). gaq.refresh cannot record such a failure itself. Returns no row if the pair has no mark, or if another worker
-- has claimed the pair. The aborted transaction had expanded the wide marks, and had inserted the row of a never computed
-- pair. Both were rolled back, so this function does both again.
create or replace function gaq.record_failure(data_pass_id bigint, run_number bigint, error text, state text)
returns table (attempts int, next_try double precision)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    mark record;
begin
    perform gaq.expand();
    perform from gaq.insert_lock for update skip locked;
    if found then
        insert into gaq.summaries (data_pass_id, run_number)
        select record_failure.data_pass_id, record_failure.run_number
        where exists (select from gaq.invalidations i
                      where i.data_pass_id = record_failure.data_pass_id and i.run_number = record_failure.run_number)
          -- (An insert would wait for a worker that has claimed a row that is there.)
          and not exists (select from gaq.summaries s
                          where s.data_pass_id = record_failure.data_pass_id and s.run_number = record_failure.run_number)
        on conflict do nothing;
    end if;
    perform from gaq.summaries s
    where s.data_pass_id = record_failure.data_pass_id and s.run_number = record_failure.run_number
    for no key update skip locked;
    if not found then
        return;
    end if;
    with folded as (
        delete from gaq.invalidations i
        where i.data_pass_id = record_failure.data_pass_id and i.run_number = record_failure.run_number
        returning i.invalidated_at, i.cause
    )
    select min(invalidated_at) as first_mark, string_agg(distinct cause, ', ' order by cause) as causes
    into mark
    from folded;
    if mark.first_mark is null then
        return;
    end if;
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    values (record_failure.data_pass_id, record_failure.run_number, mark.first_mark, mark.causes);
    return query
    select n.attempts, n.next_try
    from gaq.record_failures(array[record_failure.data_pass_id], array[record_failure.run_number], array[record_failure.error], array[record_failure.state]) n;
end
$$;

reset role;

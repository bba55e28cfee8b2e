-- The time at which a pair, or the first of all marked pairs, is due.

set role gaq_owner;

-- Returns when a pair is due, from the times of its first mark, of its last mark and of its last refresh. A pair that was
-- quiet is due at once. A pair that was just refreshed waits until it has been quiet for `debounce`, but at most `max_wait`.
create or replace function gaq.due_at(
    first_mark timestamptz, last_mark timestamptz, refreshed timestamptz, debounce interval, max_wait interval
) returns timestamptz
language sql immutable parallel safe
return case when refreshed is null or refreshed + debounce <= first_mark then first_mark
            else least(last_mark + debounce, first_mark + max_wait) end;


-- Returns the seconds until a pair is due, by the server's clock. Null means that there is no mark. Zero means that a pair
-- is due already, because another worker has claimed the pair or because its mark is new. A failing pair is due at its next
-- try, or as soon as it has a new mark. It then has more than one mark, because each failure folds its marks into one.
create or replace function gaq.next_due(debounce interval default '0', max_wait interval default '0')
returns double precision
language sql stable security definer
set search_path = pg_catalog, pg_temp
begin atomic
    select case
        when exists (select from gaq.wide_invalidations) then 0
        when exists (
            select from gaq.invalidations i
            where i.invalidated_at <= clock_timestamp() - max_wait
              and not exists (select from gaq.failures e
                              where e.data_pass_id = i.data_pass_id and e.run_number = i.run_number)) then 0
        else (
            select case when count(*) > 0      -- greatest() would make a zero of no mark
                        then greatest(0, date_part('epoch', min(case
                            when e.next_try_at is null
                                then gaq.due_at(first_mark, last_mark, s.updated_at, debounce, max_wait)
                            when marks > 1 or e.last_failed_at > clock_timestamp() then timestamptz 'epoch'
                            else e.next_try_at end) - clock_timestamp())) end
            from (
                select data_pass_id, run_number, min(invalidated_at) as first_mark, max(invalidated_at) as last_mark,
                       count(*) as marks
                from gaq.invalidations
                group by data_pass_id, run_number
            ) marked
            left join gaq.summaries s using (data_pass_id, run_number)
            left join gaq.failures e using (data_pass_id, run_number)
        )
    end;
end;

reset role;

-- Returns the pairs that each wide mark stands for, from the source views. A worker may read the view at any time after
-- the commit of the mark, because a pair that comes to belong to the thing later has a mark of its own.

set role gaq_owner;

create or replace view gaq.expanded_invalidations as
select w.id as wide_id, p.data_pass_id::bigint, p.run_number::bigint, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join gaq.source_pairs p on p.run_number = w.key
where w.kind = 'run'
union all
select w.id, f.data_pass_id::bigint, f.run_number::bigint, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join gaq.source_flags f on f.flag_type_id = w.key
join gaq.source_gaq_detectors d on d.data_pass_id = f.data_pass_id::bigint and d.run_number = f.run_number::bigint
                                   and d.detector_id = f.detector_id::bigint
where w.kind = 'flag type'
union all
select w.id, f.data_pass_id::bigint, f.run_number::bigint, w.invalidated_at, w.cause
from gaq.wide_invalidations w
join gaq.source_flags f on f.id = w.key
join gaq.source_gaq_detectors d on d.data_pass_id = f.data_pass_id::bigint and d.run_number = f.run_number::bigint
                                   and d.detector_id = f.detector_id::bigint
where w.kind = 'flag'
union all
select wide_id, data_pass_id, run_number, invalidated_at, cause from gaq.source_invalidations
union all
select w.id, p.data_pass_id::bigint, p.run_number::bigint, w.invalidated_at, w.cause
from gaq.wide_invalidations w
cross join gaq.source_pairs p
where w.kind = 'everything'
union all
select w.id, s.data_pass_id, s.run_number, w.invalidated_at, w.cause
from gaq.wide_invalidations w
cross join gaq.summaries s
where w.kind = 'everything';


-- Expands wide marks to marks of pairs, and returns the number of wide marks that it expanded. The function takes the
-- max_marks oldest ones. If there are more, it also takes an eighth as many of the newest, so that a change of now does
-- not wait behind a long backlog.
create or replace function gaq.expand(max_marks int default 1000) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    ids bigint[];
begin
    select array_agg(id) into ids
    from (select id from gaq.wide_invalidations order by invalidated_at limit max_marks for update skip locked) w;
    if ids is null then
        return 0;
    end if;
    if cardinality(ids) >= max_marks then
        ids := ids || array(
            select id
            from (select id from gaq.wide_invalidations
                  order by invalidated_at desc limit max_marks / 8 for update skip locked) w
            where id <> all (ids));
    end if;
    -- [gate] expand
    insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
    select data_pass_id, run_number, min(invalidated_at), cause
    from gaq.expanded_invalidations
    where wide_id = any (ids)
    group by data_pass_id, run_number, cause
    order by min(invalidated_at), data_pass_id, run_number;      -- so that a batch of them is of few data passes
    -- [gate] fold wide
    delete from gaq.wide_invalidations where id = any (ids);
    return cardinality(ids);
end
$$;

reset role;

-- Drops everything that depends on the source tables, so that any migration can run. Summaries, marks, roles and gaq_summaries
-- with its grants stay. gaq_summaries stays readable, and every summary in it counts as stale, because no trigger sees changes
-- any more. The next installation attaches to the tables as they are then, and workers compute every pair again.
--   gaq-listen detach, or, without psql's -1, because the first part is committed before the others:
--   gaq-listen sql detach | psql -v ON_ERROR_STOP=1 -f -

set role gaq_owner;

-- No worker begins a batch after this commit, and the doctor reports that gaq-listen is detached.
insert into gaq.detached default values on conflict do nothing;
insert into gaq.paused (paused_by, reason) values (session_user, 'detached; gaq-listen install attaches again')
on conflict do nothing;

-- [transaction] marking everything as stale
-- A batch that is in flight might fold the mark.
do $$
begin
    for attempt in 1 .. 600 loop
        if gaq.batches_in_flight() = 0 then
            insert into gaq.wide_invalidations (kind, cause) values ('everything', 'detached');
            return;
        end if;
        perform pg_sleep(0.1);
    end loop;
    raise exception 'a batch of a worker is still in flight' using hint = 'try again; gaq-listen status names the worker';
end
$$;
reset role;

-- [transaction] triggers
-- DROP TRIGGER waits for the transactions that use the table, and lets nobody else in while it waits: hence the timeout.
do $$
declare
    marking record;
begin
    for marking in
        select tgrelid::regclass as source_table, tgname
        from pg_trigger
        join pg_proc on pg_proc.oid = tgfoid
        join pg_class on pg_class.oid = tgrelid
        where pronamespace = 'gaq'::regnamespace and tgparentid = 0 and relkind in ('r', 'p')
        order by 1, 2
    loop
        execute format('drop trigger %I on %s', marking.tgname, marking.source_table);
    end loop;
end
$$;

-- [transaction] views and functions
-- A view that others are made of keeps its columns and has no rows. So nothing else has to go, gaq_summaries least of all.
set role gaq_owner;
do $$
declare
    bound record;
begin
    for bound in
        select relname, string_agg(format('null::%s as %I', format_type(atttypid, atttypmod), attname), ', ' order by attnum) as columns
        from pg_class
        join pg_attribute on attrelid = pg_class.oid and attnum > 0 and not attisdropped
        where relnamespace = 'gaq'::regnamespace and relkind = 'v' and relname like 'source\_%'
        group by relname
    loop
        execute format('create or replace view gaq.%I as select %s where false', bound.relname, bound.columns);
    end loop;
    create or replace function gaq.source_flags_of(of_data_pass_id bigint, of_run_number bigint, on_detectors bigint[])
    returns table (id bigint, detector_id bigint, flag_type_id bigint, starts timestamptz, ends timestamptz, created_at timestamptz)
    language sql stable
    as 'select null::bigint, null::bigint, null::bigint, null::timestamptz, null::timestamptz, null::timestamptz where false';
    create or replace function gaq.source_flags_of_data_pass(of_data_pass_id bigint, on_detectors bigint[])
    returns table (
        run_number bigint, id bigint, detector_id bigint, flag_type_id bigint,
        starts timestamptz, ends timestamptz, created_at timestamptz
    )
    language sql stable
    as 'select null::bigint, null::bigint, null::bigint, null::bigint, null::timestamptz, null::timestamptz, null::timestamptz where false';
    create or replace function gaq.source_reads_data_pass(of_data_pass_id bigint, for_pairs bigint) returns bool
    language sql stable
    as 'select false';
    for bound in
        select oid::regprocedure as accessor from pg_proc where pronamespace = 'gaq'::regnamespace and proname like 'as\_%'
          and proname <> 'as_int'
    loop
        execute format('drop function %s', bound.accessor);
    end loop;
end
$$;
reset role;

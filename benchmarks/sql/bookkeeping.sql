-- The rows of alice.sql in the Bookkeeping's tables: the same ids, flags and verifications, and each flag with a link to its
-- data pass. bench.detectors of the 12 detectors matter for each pair.
insert into users (id, external_id, name) values (1, 1, 'expert');
insert into detectors (id, name, type) select n, 'D' || n, 'PHYSICAL' from generate_series(1, 12) n;
insert into quality_control_flag_types (id, name, method, bad, monte_carlo_reproducible, created_by_id)
select n, 'type ' || n, 'type ' || n, n % 3 = 0, n % 6 = 0, 1 from generate_series(1, 14) n;
insert into runs (run_number, time_o2_start, time_o2_end)
select 500000 + n, timestamptz '2024-01-01Z' + n * interval '10 h', timestamptz '2024-01-01Z' + (n + 1) * interval '10 h'
from generate_series(1, current_setting('bench.runs')::int) n;
insert into data_passes (id, name)
select n, 'LHC24_pass' || n from generate_series(1, current_setting('bench.passes')::int) n;
insert into data_passes_runs (data_pass_id, run_number)
select p.id, r.run_number from data_passes p cross join runs r order by 1, 2;
insert into global_aggregated_quality_detectors (data_pass_id, run_number, detector_id)
select data_pass_id, run_number, d.id from data_passes_runs cross join detectors d
where d.id <= current_setting('bench.detectors')::int order by 1, 2, 3;

create temp table flag as
select row_number() over (
           order by case when current_setting('bench.ids_by') = 'none' then hashint8(hash) end, p.data_pass_id, n, d.id, p.run_number
       ) as id,
       p.data_pass_id, p.run_number, d.id as detector_id, 1 + hash % 14 as flag_type_id,
       case when n > 1 then r.qc_time_start + begins * interval '1 minute' end as starts,
       case when n > 1 then r.qc_time_start + (begins + 1 + hash / 7 % 300) * interval '1 minute' end as ends,
       timestamptz '2025-01-01Z' + n * interval '1 day' as created_at
from data_passes_runs p
join runs r using (run_number)
cross join detectors d
cross join generate_series(1, current_setting('bench.flags')::int) n
cross join lateral (select hashint8(((p.data_pass_id * 100000 + p.run_number % 100000)::bigint * 100 + d.id) * 100 + n) & 2147483647) h (hash)
cross join lateral (select hash / 100 % 500) b (begins);

insert into quality_control_flags (id, run_number, detector_id, flag_type_id, "from", "to", comment, origin, created_by_id, created_at)
select id, run_number, detector_id, flag_type_id, starts, ends, 'benchmark', 'shift', 1, created_at from flag order by id;

insert into data_pass_quality_control_flag (data_pass_id, quality_control_flag_id)
select data_pass_id, id from flag order by id;
drop table flag;

insert into quality_control_flag_verifications (flag_id, created_by_id)
select id, 1 from quality_control_flags where id % 3 = 0 order by id;

-- What is inserted while measuring has greater ids.
select setval('quality_control_flags_id_seq', 10000000);

-- bench.passes data passes of bench.runs runs each; 12 detectors, of which bench.detectors matter, with bench.flags flags on
-- each; a third of the flags verified. bench.ids_by: 'data passes', or 'none' for flags of all data passes mixed. With 21 data passes of 400 runs and 3 flags: 8400 pairs and 302 400 flags. The same
-- rows each time.
insert into detectors (id, name) select n, 'D' || n from generate_series(1, 12) n;
insert into qc_flag_types (id, name, bad, mc_reproducible)
select n, 'type ' || n, n % 3 = 0, n % 6 = 0 from generate_series(1, 14) n;
insert into runs (run_number, time_o2_start, time_o2_end)
select 500000 + n, timestamptz '2024-01-01Z' + n * interval '10 h', timestamptz '2024-01-01Z' + (n + 1) * interval '10 h'
from generate_series(1, current_setting('bench.runs')::int) n;
insert into data_passes (id, name) select n, 'LHC24_pass' || n from generate_series(1, current_setting('bench.passes')::int) n;
insert into data_pass_runs (data_pass_id, run_number)
select p.id, r.run_number from data_passes p cross join runs r order by 1, 2;
insert into gaq_detectors (data_pass_id, run_number, detector_id)
select data_pass_id, run_number, d.id from data_pass_runs cross join detectors d
where d.id <= current_setting('bench.detectors')::int order by 1, 2, 3;

-- In the order in which experts make them: one flags the whole of each run of a data pass, then another for his
-- detector; later parts of runs follow. So the flags of a pair lie far from each other.
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, "from", "to", comment, origin, created_by, created_at)
select p.data_pass_id, p.run_number, d.id, 1 + hash % 14,
       case when n > 1 then r.qc_time_start + begins * interval '1 minute' end,
       case when n > 1 then r.qc_time_start + (begins + 1 + hash / 7 % 300) * interval '1 minute' end,
       'benchmark', 'shift', 'expert of D' || d.id, timestamptz '2025-01-01Z' + n * interval '1 day'
from data_pass_runs p
join runs r using (run_number)
cross join detectors d
cross join generate_series(1, current_setting('bench.flags')::int) n
cross join lateral (select hashint8(((p.data_pass_id * 100000 + p.run_number % 100000)::bigint * 100 + d.id) * 100 + n) & 2147483647) h (hash)
cross join lateral (select hash / 100 % 500) b (begins)
order by case when current_setting('bench.ids_by') = 'none' then hashint8(hash) end, p.data_pass_id, n, d.id, p.run_number;

insert into qc_flag_verifications (flag_id, created_by)
select id, 'shift leader' from qc_flags where id % 3 = 0 order by id;

-- What is inserted while measuring has greater ids.
select setval('qc_flags_id_seq', 10000000);

-- 42 data passes of the same 200 runs: 8400 pairs, with four flags and three GAQ detectors each.
insert into detectors (id, name) select n, 'D' || n from generate_series(1, 16) n;
insert into qc_flag_types (id, name, bad, mc_reproducible)
select n, 'type ' || n, n % 3 = 0, n % 6 = 0 from generate_series(1, 14) n;
insert into runs (run_number, time_o2_start, time_o2_end)
select n, timestamptz '2024-01-01' + n * interval '2 hours', timestamptz '2024-01-01' + (n + 1) * interval '2 hours'
from generate_series(1, 200) n;
insert into data_passes (id, name) select n, 'pass ' || n from generate_series(1, 42) n;
insert into data_pass_runs (data_pass_id, run_number)
select p.id, r.run_number from data_passes p cross join runs r;
insert into gaq_detectors (data_pass_id, run_number, detector_id)
select data_pass_id, run_number, detector_id from data_pass_runs cross join generate_series(1, 3) detector_id;
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, created_by)
select data_pass_id, run_number, detector_id, 1 + (run_number + detector_id) % 14, 'benchmark'
from data_pass_runs cross join generate_series(1, 4) detector_id;

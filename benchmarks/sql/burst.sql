-- A mark on each of bench.pairs pairs.
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, created_by)
select data_pass_id, run_number, 1 + run_number % 12, 1 + run_number % 14, 'burst'
from (select data_pass_id, run_number from data_pass_runs order by data_pass_id, run_number limit current_setting('bench.pairs')::int) p;

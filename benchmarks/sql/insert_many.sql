-- 10 000 flags over 500 pairs: 100 runs in each of 5 data passes.
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, created_by)
select 1 + n % 5, 500001 + n / 5 % 100, 1 + n / 500 % 12, 1 + n % 14, 'many'
from generate_series(0, 9999) n;

-- For pgbench: one flag of a random pair, in a transaction of its own.
\set data_pass random(1, 42)
\set run random(1, 200)
\set detector random(1, 16)
\set type random(1, 14)
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, created_by)
values (:data_pass, :run, :detector, :type, 'pgbench');

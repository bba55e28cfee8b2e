-- For pgbench: one flag of a random pair, in a transaction of its own.
\set data_pass random(1, 21)
\set run random(500001, :last_run)
\set detector random(1, 12)
\set type random(1, 14)
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id, created_by)
values (:data_pass, :run, :detector, :type, 'pgbench');

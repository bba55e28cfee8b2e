-- For pgbench: three flags of random pairs out of 50, in random order, in one transaction; each pair may be marked twice.
\set one random(500001, 500050)
\set two random(500001, 500050)
\set three random(500001, 500050)
\set detector random(1, 12)
\set type random(1, 14)
begin;
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, :one, :detector, :type);
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, :two, :detector, :type);
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, :three, :detector, :type);
commit;

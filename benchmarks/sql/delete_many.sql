delete from qc_flags where id > 20000000;

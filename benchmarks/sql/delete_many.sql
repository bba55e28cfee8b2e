delete from qc_flags where id > 33600;

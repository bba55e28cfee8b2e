update qc_flags set flag_type_id = 1 + flag_type_id % 14 where id > 20000000;

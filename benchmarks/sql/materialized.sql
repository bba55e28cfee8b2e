create materialized view all_summaries as
select *
from gaq.compute((select array_agg(data_pass_id::bigint order by data_pass_id, run_number) from data_pass_runs),
                 (select array_agg(run_number::bigint order by data_pass_id, run_number) from data_pass_runs));
create unique index on all_summaries (data_pass_id, run_number);

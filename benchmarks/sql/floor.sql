-- The floor: reads the flags of pairs, all that the computation needs of them, and whether each is verified.
select count(*), count(f.detector_id), count(f.flag_type_id), count(f.starts), count(f.ends), max(f.created_at),
       count(*) filter (where exists (select from gaq.source_verifications v where v.flag_id = f.id))
from unnest(%s::bigint[], %s::bigint[]) pair (data_pass_id, run_number)
join gaq.source_flags f using (data_pass_id, run_number)

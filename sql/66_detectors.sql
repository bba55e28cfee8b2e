-- The quality of single detectors, run by run. `gaq-listen show --save` draws it above the GAQ.
--   select * from gaq.detector_qualities(12, array[526525, 526641]);

set role gaq_owner;

-- Returns, for each of these runs and each GAQ detector, the fractions of the run that effective flags call good, MC
-- reproducible and bad. The rest of the run has no flag. The function computes in the caller's snapshot. A run has no row if
-- its QC times are unknown or if it has no GAQ detector.
create or replace function gaq.detector_qualities(of_data_pass_id bigint, run_numbers bigint[])
returns table (
    run_number bigint,
    detector_id bigint,
    detector text,
    good double precision,
    mc_reproducible double precision,
    bad double precision
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off                      -- an error, rather than what a policy lets through
begin atomic
    with run as materialized (
        select l.run_number, l.seconds
        from (select distinct u.run_number from unnest(detector_qualities.run_numbers) u (run_number)) given
        join gaq.run_lengths l using (run_number)
    ), part as materialized (
        select r.run_number, f.detector_id, f.bad, f.mc_reproducible, unnest(f.effective) as span
        from run r
        cross join lateral gaq.explain_flags(of_data_pass_id, r.run_number) f
    ), length as (
        select p.run_number, p.detector_id,
               date_part('epoch', sum(upper(p.span) - lower(p.span)) filter (where not p.bad and not p.mc_reproducible)) as good,
               date_part('epoch', sum(upper(p.span) - lower(p.span)) filter (where p.mc_reproducible)) as mc_reproducible,
               date_part('epoch', sum(upper(p.span) - lower(p.span)) filter (where p.bad and not p.mc_reproducible)) as bad
        from part p
        group by p.run_number, p.detector_id
    )
    select r.run_number, d.detector_id, d.detector,
           coalesce(s.good, 0) / r.seconds, coalesce(s.mc_reproducible, 0) / r.seconds, coalesce(s.bad, 0) / r.seconds
    from run r
    cross join lateral gaq.explain_detectors(of_data_pass_id, r.run_number) d
    left join length s on s.run_number = r.run_number and s.detector_id = d.detector_id
    order by r.run_number, d.detector;
end;

grant execute on function gaq.detector_qualities(bigint, bigint[]) to gaq_reader;
reset role;

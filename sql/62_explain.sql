-- The reasons for the summary of a pair, which `gaq-listen explain` draws. The functions read the source views as their owner,
-- so a role that may read gaq_summaries may also read the reasons.

set role gaq_owner;

-- Every mark of a pair, with its cause. (gaq.pending has only the time of the oldest mark of each pair.)
create or replace view gaq.marks as
select data_pass_id, run_number, invalidated_at, cause from gaq.invalidations
union all
select data_pass_id, run_number, invalidated_at, cause from gaq.expanded_invalidations;

-- Returns the QC time of a pair, its stored summary and the cause of its last refresh, or no row if the pair does not exist.
create or replace function gaq.explain_pair(data_pass_id bigint, run_number bigint)
returns table (
    in_data_pass bool,
    qc_time_start timestamptz,
    qc_time_end timestamptz,
    bad double precision,
    good double precision,
    mc_reproducible double precision,
    missing_verifications int,
    undefined_quality_periods int,
    not_computable bool,                    -- null: never computed
    updated_at timestamptz,
    seconds_stale double precision,
    refreshed_for text,
    refreshed_by text
)
language sql stable security definer rows 1
set search_path = pg_catalog, pg_temp
set row_security = off
begin atomic
    select p.run_number is not null, gaq.representable(r.qc_time_start), gaq.representable(r.qc_time_end),
           s.bad_run_coverage, s.explicitly_not_bad_run_coverage, s.mc_reproducible_coverage,
           s.missing_verifications_count, s.undefined_quality_periods_count, s.not_computable,
           s.updated_at, s.seconds_stale, s.refreshed_for, s.refreshed_by
    from (values (explain_pair.data_pass_id, explain_pair.run_number)) given (data_pass_id, run_number)
    left join gaq.source_pairs p on p.data_pass_id = given.data_pass_id and p.run_number = given.run_number
    left join gaq.source_runs r on r.run_number = given.run_number
    left join gaq.summaries s on s.data_pass_id = given.data_pass_id and s.run_number = given.run_number
    where p.run_number is not null or s.run_number is not null;
end;


-- Returns what gaq.compute now returns for a pair, or raises its error.
create or replace function gaq.explain_computed(data_pass_id bigint, run_number bigint)
returns table (
    bad double precision,
    good double precision,
    mc_reproducible double precision,
    missing_verifications int,
    undefined_quality_periods int,
    not_computable bool
)
language sql stable security definer rows 1
set search_path = pg_catalog, pg_temp
begin atomic
    select c.bad_run_coverage, c.explicitly_not_bad_run_coverage, c.mc_reproducible_coverage,
           c.missing_verifications_count, c.undefined_quality_periods_count, c.not_computable
    from gaq.compute(array[explain_computed.data_pass_id], array[explain_computed.run_number]) c;
end;


-- Returns the GAQ detectors of a pair.
create or replace function gaq.explain_detectors(data_pass_id bigint, run_number bigint)
returns table (detector_id bigint, detector text)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off
begin atomic
    select distinct d.detector_id::bigint, coalesce(n.name, '#' || coalesce(d.detector_id::text, 'null'))
    from gaq.source_gaq_detectors d
    left join gaq.source_detectors n on n.id = d.detector_id
    where d.data_pass_id = explain_detectors.data_pass_id and d.run_number = explain_detectors.run_number
    order by 2;
end;


-- Returns the flags of a pair on any detector, by detector, the latest first. For each flag, `span` is the part of the QC time
-- that it covers, `effective` has its effective periods as in gaq.compute, and `hidden_by` has the later flags that hide it.
create or replace function gaq.explain_flags(data_pass_id bigint, run_number bigint)
returns table (
    flag_id bigint,
    detector_id bigint,
    detector text,
    flag_type text,
    bad bool,
    mc_reproducible bool,
    starts timestamptz,                     -- as given; null: from the start, or to the end, of the run
    ends timestamptz,
    created_at timestamptz,
    created_by text,
    comment text,
    verifications int,
    span tstzrange,                         -- within the window; empty: nothing of it
    effective tstzmultirange,
    hidden_by bigint[]
)
language sql stable security definer
set search_path = pg_catalog, pg_temp
set row_security = off
begin atomic
    with flag as (
        select f.*,
               case when isfinite(r.qc_time_start) and isfinite(r.qc_time_end)
                         and greatest(f.starts, r.qc_time_start) < least(f.ends, r.qc_time_end)
                    then tstzrange(greatest(f.starts, r.qc_time_start), least(f.ends, r.qc_time_end))
                    else 'empty' end as span
        from gaq.source_flags f
        left join gaq.source_runs r on r.run_number = f.run_number
        where f.data_pass_id = explain_flags.data_pass_id and f.run_number = explain_flags.run_number
    )
    select f.id::bigint, f.detector_id::bigint, coalesce(n.name, '#' || f.detector_id), coalesce(t.name, '#' || f.flag_type_id),
           coalesce(t.bad, false), coalesce(t.mc_reproducible, false),     -- of no type: it covers, and says nothing bad
           gaq.representable(f.starts), gaq.representable(f.ends), gaq.representable(f.created_at), d.created_by, d.comment,
           (select count(*)::int from gaq.source_verifications v where v.flag_id = f.id),
           f.span,
           tstzmultirange(f.span) - gaq.union_of(tstzmultirange(f.span)) over later,
           array(select l.id::bigint from flag l
                 where l.detector_id = f.detector_id and (l.created_at, l.id) > (f.created_at, f.id) and l.span && f.span
                 order by l.created_at, l.id)
    from flag f
    left join gaq.source_flag_types t on t.id = f.flag_type_id
    left join gaq.source_detectors n on n.id = f.detector_id
    left join gaq.source_flag_details d on d.id = f.id
    window later as (partition by f.detector_id order by f.created_at desc, f.id desc
                     rows between unbounded preceding and 1 preceding)
    order by 3, f.created_at desc, f.id desc;
end;

grant select on gaq.marks to gaq_reader;

grant execute on function gaq.representable(timestamptz), gaq.explain_pair(bigint, bigint), gaq.explain_computed(bigint, bigint),
    gaq.explain_detectors(bigint, bigint), gaq.explain_flags(bigint, bigint) to gaq_reader;
reset role;

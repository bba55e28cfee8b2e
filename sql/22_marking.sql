-- What marks: the trigger functions that suit tables of any shape and of any names. They name no source table and no column:
-- what counts of a row is told by the functions of the sources file, such as gaq.as_run(runs), which are there already. (The
-- functions that mark flags are in the sources file, because there the shapes differ in more than names.)
-- gaq.create_marking in 15_marking.sql has the frame of all of them, and says what they obey.
-- A row without a pair counts for nothing, and no writer fails because of one.

-- A sources file for an earlier version has no such functions, and writers would fail for want of them.
do $$
declare
    lacking text;
begin
    select string_agg(format('gaq.%s(...)', wanted), ', ') into lacking
    from unnest(array['as_run', 'as_pair', 'as_gaq_detector', 'as_flag', 'as_flag_type', 'as_verification']) wanted
    where not exists (select from pg_proc where pronamespace = 'gaq'::regnamespace and proname = wanted);
    if lacking is not null then
        raise exception 'the sources file creates no function %', lacking
            using hint = 'it is one for an earlier version of gaq-listen; docs/guides/dba.md says what a sources file contains';
    end if;
end
$$;

set role gaq_owner;

do $$
begin
    -- An entry of the list of detectors that matter carries its pair.
    perform gaq.create_marking('mark_gaq_detectors', 'as_gaq_detector', 'data_pass_id is not null and run_number is not null',
                               'invalidations (data_pass_id, run_number, cause)',
                               'data_pass_id, run_number, ''detectors''', once => 'data_pass_id, run_number');

    -- So does a run that enters or leaves a data pass.
    perform gaq.create_marking('mark_data_pass_runs', 'as_pair', 'data_pass_id is not null and run_number is not null',
                               'invalidations (data_pass_id, run_number, cause)',
                               'data_pass_id, run_number, ''data pass''');

    -- A verification names its flag. Whether it is the first of the flag cannot be told without a lock, so each one marks.
    perform gaq.create_marking('mark_qc_flag_verifications', 'as_verification', 'true',
                               'wide_invalidations (kind, key, cause)',
                               '''flag'', flag_id, ''verification''', once => 'flag_id');

    -- A run counts by its QC times. Inserts and deletes matter where a deferred foreign key lets a run be replaced.
    perform gaq.create_marking('mark_runs', 'as_run', 'starts is not null or ends is not null',
                               'wide_invalidations (kind, key, cause)',
                               '''run'', run_number, ''run times''');

    -- A flag type counts by being bad and being MC reproducible.
    perform gaq.create_marking('mark_qc_flag_types', 'as_flag_type', 'true',
                               'wide_invalidations (kind, key, cause)',
                               '''flag type'', id, ''flag type''');
end
$$;

reset role;

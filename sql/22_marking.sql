-- The trigger functions that suit source tables of any shape and with any names. They name no source table and no column.
-- The accessors of the sources file, such as gaq.as_run(runs), return the columns that count of a row, and exist before
-- this file is applied. (The functions that mark flags are in the sources file, because there the shapes differ in more
-- than names.)
-- gaq.create_marking in 15_marking.sql has the frame of all these functions, and describes their rules. A row without a
-- pair does not count, and causes no error for a writer.

-- Raises an error if the sources file is for an earlier version and creates no accessors, because the trigger functions
-- need them.
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
    -- A row of the list of GAQ detectors contains its pair.
    perform gaq.create_marking('mark_gaq_detectors', 'as_gaq_detector', 'data_pass_id is not null and run_number is not null',
                               'invalidations (data_pass_id, run_number, cause)',
                               'data_pass_id, run_number, ''detectors''', once => 'data_pass_id, run_number');

    -- A row that links a run to a data pass also contains its pair.
    perform gaq.create_marking('mark_data_pass_runs', 'as_pair', 'data_pass_id is not null and run_number is not null',
                               'invalidations (data_pass_id, run_number, cause)',
                               'data_pass_id, run_number, ''data pass''');

    -- A verification names its flag. The trigger marks for each verification, because it could find whether a
    -- verification is the first of its flag only with a lock.
    perform gaq.create_marking('mark_qc_flag_verifications', 'as_verification', 'true',
                               'wide_invalidations (kind, key, cause)',
                               '''flag'', flag_id, ''verification''', once => 'flag_id');

    -- A run counts if it has a QC time. The trigger also marks for inserts and deletes, because with a deferred foreign
    -- key a writer can replace a run.
    perform gaq.create_marking('mark_runs', 'as_run', 'starts is not null or ends is not null',
                               'wide_invalidations (kind, key, cause)',
                               '''run'', run_number, ''run times''');

    -- Of a flag type, the columns bad and mc_reproducible count.
    perform gaq.create_marking('mark_qc_flag_types', 'as_flag_type', 'true',
                               'wide_invalidations (kind, key, cause)',
                               '''flag type'', id, ''flag type''');
end
$$;

reset role;

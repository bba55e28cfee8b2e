-- What each object is for that readers, monitors and workers may use. \d+ and \df+ of psql show it, and so does
-- docs/reference/sql.md.
-- By name, so that a change of a signature needs no change here.

-- (Where gaq_summaries is.)
do $$ begin
    perform set_config('search_path', quote_ident(coalesce(
        (select nspname from pg_trigger join pg_class c on c.oid = tgrelid join pg_namespace n on n.oid = c.relnamespace
         where tgfoid = to_regprocedure('gaq.request_refresh()') and relkind = 'v' limit 1),
        nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;
set role gaq_owner;

-- Tables and views.
do $$
declare
    thing record;
begin
    for thing in
        select case relkind when 'v' then 'view' else 'table' end as kind, c.oid::regclass as name, said
        from (values
            ('gaq_summaries', 'The Global Aggregated Quality of each data pass and run. A summary is stale while '
                'invalidated_at is not null. To ask for recomputation: UPDATE gaq_summaries SET invalidated_at = now() WHERE ...'),
            ('gaq.current_summaries', 'The summaries that gaq_summaries shows, with the types of gaq-listen.'),
            ('gaq.data_pass_summaries', 'The stored summaries of each data pass, summed up. Each run is weighted by its length.'),
            ('gaq.run_lengths', 'The length of each run that has QC times.'),
            ('gaq.changes', 'The values of a pair before and after each refresh that changed them.'),
            ('gaq.settings', 'The settings of this database, in one row.'),
            ('gaq.failures', 'The pairs whose computation fails. A failing pair keeps its value and is tried again.'),
            ('gaq.bindings', 'The source tables and columns that the installation was bound to.'),
            ('gaq.bound_columns', 'The source tables and columns that gaq-listen is bound to now.'),
            ('gaq.detached', 'One row while nothing is bound to the source tables. No batch begins meanwhile.'),
            ('gaq.paused', 'One row while all work is paused; no row otherwise.'),
            ('gaq.workers', 'What each worker last reported. A worker is there if gaq.backend_exists(backend_pid) is true.'),
            ('gaq.status', 'The backlog, the stored summaries, and the state of doorbell and triggers, in one row.'),
            ('gaq.marks', 'All pending marks of pairs, each with its cause.'),
            ('gaq.pending', 'The stale pairs, each with the time of its oldest mark.'),
            ('gaq.known_pairs', 'All pairs that exist or have a stored summary.'),
            ('gaq.bell_holders', 'The sessions that hold the lock of the doorbell.'),
            ('gaq.installation', 'The version of the installed SQL, and who installed it when, in one row.'),
            ('gaq.installed_objects', 'The objects that were installed, with a checksum of each definition.'),
            ('gaq.source_data_passes', 'The names of data passes.'),
            ('gaq.source_detectors', 'The names of detectors.')) given (name, said)
        join pg_class c on c.oid = to_regclass(given.name) and relkind in ('v', 'r')
    loop
        execute format('comment on %s %s is %L', thing.kind, thing.name, thing.said);
    end loop;
end
$$;

-- Columns of tables and views.
do $$
declare
    thing record;
begin
    for thing in
        select attrelid::regclass as relation, attname, said
        from (values
            ('gaq_summaries', 'data_pass_id', 'Data pass of the pair.'),
            ('gaq_summaries', 'run_number', 'Run of the pair.'),
            ('gaq_summaries', 'bad_run_coverage', 'Fraction of the run that is bad, 0 to 1.'),
            ('gaq_summaries', 'explicitly_not_bad_run_coverage', 'Fraction of the run that is good for all GAQ detectors, 0 to 1.'),
            ('gaq_summaries', 'mc_reproducible_coverage', 'Fraction of the run that is MC reproducible, 0 to 1.'),
            ('gaq_summaries', 'missing_verifications_count', 'Number of effective flags that nobody has verified.'),
            ('gaq_summaries', 'undefined_quality_periods_count', 'Number of detectors without a flag, over all elementary periods.'),
            ('gaq_summaries', 'not_computable', 'True if QC times, GAQ detectors or flags are missing. Null: never computed.'),
            ('gaq_summaries', 'invalidated_at', 'Time since when the summary is stale. Null: it is fresh.'),
            ('gaq_summaries', 'created_at', 'Time of the first computation.'),
            ('gaq_summaries', 'updated_at', 'Time of the last computation.'),
            ('gaq.data_pass_summaries', 'hours', 'Length of all runs that have values.'),
            ('gaq.data_pass_summaries', 'undecided_coverage', 'Fraction of the hours in which some detector has no flag.'),
            ('gaq.data_pass_summaries', 'stale', 'Number of stale runs.'),
            ('gaq.data_pass_summaries', 'stale_since', 'Time of the oldest mark. Null: everything is fresh.'),
            ('gaq.changes', 'changed_at', 'Time of the refresh.'),
            ('gaq.changes', 'cause', 'What had made the pair stale.'),
            ('gaq.changes', 'refreshed_by', 'Name of the worker, or the role that refreshed by hand.'),
            ('gaq.changes', 'removed', 'True if the run had left the data pass, so that there are no values after.'),
            ('gaq.settings', 'keep_changes', 'How long gaq.changes keeps a change. Zero: nothing is kept.'),
            ('gaq.failures', 'error', 'Message of the last failure.'),
            ('gaq.failures', 'sqlstate', 'SQLSTATE of the last failure.'),
            ('gaq.failures', 'attempts', 'Number of failures in a row.'),
            ('gaq.failures', 'next_try_at', 'Time of the next try. A new mark leads to one at once.'),
            ('gaq.paused', 'paused_by', 'User and host, or role, that paused.'),
            ('gaq.workers', 'state', 'State that the worker last reported: listening, polling, draining, paused or broken.'),
            ('gaq.workers', 'seen_at', 'Time of the last report, so the age of state and counts.'),
            ('gaq.workers', 'batches', 'Number of batches since the worker connected.'),
            ('gaq.workers', 'pairs', 'Number of refreshed pairs since the worker connected.'),
            ('gaq.workers', 'swept_at', 'Time of the last sweep.'),
            ('gaq.workers', 'swept_found', 'Number of pairs that the last sweep found.'),
            ('gaq.workers', 'found_by_sweeps', 'Number of pairs that all sweeps found.'),
            ('gaq.workers', 'doorbell_pid', 'Backend that sleeps at the doorbell. Null: the worker polls.'),
            ('gaq.status', 'stale_pairs', 'Number of stale pairs, roughly if more than 1000 wide marks wait.'),
            ('gaq.status', 'stale_since', 'Time of the oldest mark. Null: everything is fresh.'),
            ('gaq.status', 'somebody_listens', 'True if a worker sleeps at the doorbell now.'),
            ('gaq.status', 'triggers_disabled', 'Number of triggers of ours that are not ENABLE ALWAYS.'),
            ('gaq.pending', 'invalidated_at', 'Time of the oldest mark of the pair.'),
            ('gaq.bell_holders', 'exclusively', 'True for a sleeping worker; false for a transaction that has marked something.'))
            given (name, column_name, said)
        join pg_attribute on attrelid = to_regclass(given.name) and attname = column_name and not attisdropped
    loop
        execute format('comment on column %s.%I is %L', thing.relation, thing.attname, thing.said);
    end loop;
end
$$;

-- Functions and procedures.
do $$
declare
    thing record;
begin
    for thing in
        select p.oid::regprocedure as name, said
        from (values
            ('live_summaries', 'Returns the summaries of a data pass, or of some runs of it. Computes stale pairs now, and stores nothing.'),
            ('periods', 'Returns the elementary periods of a pair in order, computed now. No row: the pair is not computable.'),
            ('detector_qualities', 'Returns which fraction of each run each GAQ detector was good, MC reproducible and bad.'),
            ('explain_pair', 'Returns the QC times, the stored values and the marks of a pair. gaq-listen explain reads it.'),
            ('explain_flags', 'Returns the flags of a pair with their effective periods. gaq-listen explain reads it.'),
            ('explain_computed', 'Returns what gaq.compute computes of a pair now. gaq-listen explain reads it.'),
            ('explain_detectors', 'Returns the GAQ detectors of a pair. gaq-listen explain reads it.'),
            ('backlog', 'Returns the number of stale pairs and the time of the oldest mark. Many wide marks are counted roughly.'),
            ('freshness', 'Returns how many pairs were refreshed lately, and how many seconds they had been stale.'),
            ('differences', 'Returns those of some fresh pairs whose stored values differ from recomputed ones.'),
            ('batches_in_flight', 'Returns the number of transactions that are refreshing now.'),
            ('backend_exists', 'Returns whether a backend is there and is that of a worker.'),
            ('list_objects', 'Returns all objects of gaq-listen as they are now, with a checksum of each definition.'),
            ('recorded_name', 'Returns the name that a source table had at the end of the installation.'),
            ('renamed_sources', 'Returns the source tables and columns that were renamed since the installation. That does no harm.'),
            ('source_changes', 'Returns a sentence for each change of the source tables that makes values wrong. No row: none does.'),
            ('bell_key', 'Returns the key of the advisory lock of the doorbell.'),
            ('representable', 'Returns an instant that programs can hold, or null for one that they cannot.'),
            ('utc', 'Returns an instant of either timestamp type. A timestamp without time zone is read as UTC.'),
            ('refresh', 'Refreshes up to max_pairs due pairs in the caller''s transaction, and returns them. Needs READ COMMITTED.'),
            ('drain', 'Refreshes all stale pairs, with a commit after each batch.'),
            ('recalculate', 'Marks pairs, so that they are computed again. Returns the number of marks.'),
            ('retry_failures', 'Makes failing pairs due now, all or some of them. Returns their number.'),
            ('pause', 'Stops all refreshing until gaq.resume. Returns false if work was paused already.'),
            ('resume', 'Ends a pause. Returns false if work was not paused.'),
            ('keep_changes', 'Sets how long gaq.changes keeps a change. Returns how long it was before.'),
            ('next_due', 'Returns the seconds until a pair is due. Null: nothing is marked. Zero: a pair is due.'),
            ('record_failure', 'Records that a pair could not be computed, if the server ended its computation.'),
            ('lock_sources', 'Locks all source tables as a reader does, and raises lock_not_available instead of waiting.'),
            ('ring', 'Wakes sleeping workers.'),
            ('register_worker', 'Registers a worker under a name. Workers call it.'),
            ('register_doorbell', 'Records which backend of a worker sleeps at the doorbell. Workers call it.'),
            ('worker_heartbeat', 'Records the state and the counts of a worker. Workers call it.'),
            ('unregister_worker', 'Removes a worker from gaq.workers. Workers call it.')) given (name, said)
        join pg_proc p on p.proname = given.name and p.pronamespace = 'gaq'::regnamespace
    loop
        execute format('comment on routine %s is %L', thing.name, thing.said);
    end loop;
end
$$;

reset role;

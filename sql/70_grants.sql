-- The rights of the roles. No other role has a right in schema gaq. Writers of the source tables need none, because the
-- trigger functions run as their owner.

set role gaq_owner;

-- PUBLIC has rights on functions of an earlier version, and after a restore without rights. (06_owner.sql revokes them for new functions.)
revoke all on all routines in schema gaq from public;

-- People, monitors and applications that read.
grant usage on schema gaq to gaq_reader;
grant select on gaq.status, gaq.bell_holders, gaq.pending, gaq.current_summaries, gaq.source_data_passes,
    gaq.source_detectors to gaq_reader;
grant select on gaq.installation, gaq.installed_objects, gaq.bindings, gaq.bound_columns, gaq.detached to gaq_reader;
grant select on gaq.failures, gaq.paused, gaq.workers, gaq.known_pairs to gaq_reader;
grant execute on function gaq.bell_key(), gaq.list_objects(), gaq.backend_exists(int), gaq.batches_in_flight(),
    gaq.utc(timestamptz), gaq.utc(timestamp), gaq.recorded_name(oid), gaq.source_changes(), gaq.renamed_sources(),
    gaq.differences(bigint[], bigint[]) to gaq_reader;

-- Readers of gaq_summaries, who may have been given the view alone.
do $$ begin perform gaq.grant_wide_marks(); end $$;

-- Workers and operators may only refresh, mark and pause. gaq_worker inherits the rights of gaq_reader.
grant execute on function gaq.refresh(int, interval, interval, bool, text, bigint[], bigint[]), gaq.lock_sources(),
    gaq.next_due(interval, interval), gaq.record_failure(bigint, bigint, text, text), gaq.ring(),
    gaq.register_worker(text, text, int, int), gaq.register_doorbell(text, int), gaq.worker_heartbeat(text, text, bigint, bigint, bigint, int), gaq.unregister_worker(text),
    gaq.pause(text, text), gaq.resume(), gaq.recalculate(bigint[], bigint[], text),
    gaq.retry_failures(bigint[], bigint[])
    to gaq_worker;
grant execute on procedure gaq.drain(int) to gaq_worker;

reset role;

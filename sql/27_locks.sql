-- The worker gives way in every lock conflict. A migration locks one table after the other. If a worker did the same, and
-- waited, the worker could wait for a table of the migration while the migration waits for a table of the worker.
-- PostgreSQL would then abort one of them.

set role gaq_owner;

-- Locks all source tables as a reader does, until the transaction ends, and never waits. Raises lock_not_available if
-- another session holds a conflicting lock on a table or waits for one. The caller then releases all its locks. The call
-- comes first in a transaction.
create or replace function gaq.lock_sources() returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
    lock table gaq.source_runs, gaq.source_pairs, gaq.source_gaq_detectors, gaq.source_flags, gaq.source_flag_types,
        gaq.source_verifications, gaq.source_data_passes, gaq.source_detectors, gaq.source_invalidations
        in access share mode nowait;
exception when lock_not_available then
    raise exception '%', sqlerrm
        using errcode = 'lock_not_available',
              hint = 'another session alters, truncates or locks the table, as a migration does; gaq-listen gives way to it';
    when insufficient_privilege then
        null;       -- no error here: the statement that reads the table raises one
end
$$;

reset role;

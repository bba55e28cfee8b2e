-- The worker loses every lock conflict. A migration locks one table after the other. A worker that did the same, and waited,
-- would wait for a table of the migration while the migration waits for one of the worker, and PostgreSQL would end either.

set role gaq_owner;

-- Locks all source tables as a reader does, until the transaction ends, and never waits: if another session has a table or
-- waits for one, this raises lock_not_available, and the caller lets go of everything. It comes first in a transaction.
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
        null;       -- not said here: who reads the table says what fails because of that
end
$$;

reset role;

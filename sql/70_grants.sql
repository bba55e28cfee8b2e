-- Who may do what. Nobody else may do anything in schema gaq: writers of the source tables need no right there, since the
-- trigger functions run as their owner.

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set role gaq_owner;

-- People, monitors and applications that read.
grant usage on schema gaq to gaq_reader;
grant select on gaq.status, gaq.pending, gaq.current_summaries, gaq.source_data_passes, gaq.source_detectors to gaq_reader;
grant select on gaq.installation, gaq.installed_objects to gaq_reader;
grant execute on function gaq.bell_key(), gaq.objects() to gaq_reader;

-- The worker: refresh, and nothing else. It inherits from gaq_reader.
grant execute on function gaq.refresh(int, interval, interval, bool), gaq.next_due(interval, interval) to gaq_worker;
grant execute on procedure gaq.drain(int) to gaq_worker;

reset role;

-- Settings of a session that applies scripts of gaq-listen with psql. A statement that waits for a lock lets no writer of the
-- table begin meanwhile, so it gives up after 3 s, unless you have set another lock_timeout.
-- gaq-listen sql NAME prints these settings before the script. With the files of a checkout, name this file first:
--   psql -1 -f session.sql -f 20_sources.sql

do $$ begin if current_setting('lock_timeout') = '0' then set lock_timeout = '3s'; end if; end $$;
set client_min_messages = warning;
set row_security = off;     -- an error, rather than the rows that a policy lets through

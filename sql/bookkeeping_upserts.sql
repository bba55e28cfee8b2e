-- Finds upserts of gaq_summaries while it is still the application's table: gaq-listen makes a view of it, and an upsert
-- (INSERT ... ON CONFLICT ... DO UPDATE) cannot work on a view. Apply this before the switch, let the application work for as
-- long as you like, and look:
--     select query, count(*), max(seen_at) from gaq_upserts group by query;
-- What is found there must be replaced first; docs/guides/adopting.md says by what. gaq-listen install --plan looks, too. The part
-- at the end takes everything away again; so does the installation, because the trigger stays with the table that is kept.
-- The tables are looked for in schema public, or in the schema that the setting gaq.source_schema names.
-- A writer appends one row for each upsert, and waits for nobody.

do $$ begin
    perform set_config('search_path', quote_ident(coalesce(nullif(current_setting('gaq.source_schema', true), ''), 'public')), false);
end $$;

create table if not exists gaq_upserts (
    seen_at timestamptz not null default clock_timestamp(),
    seen_of name not null default session_user,
    query   text not null
);

-- It runs as its owner, because the application needs no right on gaq_upserts. Its text is written with the schema's name.
do $do$ begin
    execute format($create$
        create or replace function %1$I.gaq_note_upsert() returns trigger
        language plpgsql security definer set search_path = pg_catalog, pg_temp
        as $$
        begin
            -- PostgreSQL fires the UPDATE triggers of a statement for ON CONFLICT DO UPDATE as well, and an UPDATE says so itself.
            if current_query() ~* '\mon\s+conflict\M' then
                insert into %1$I.gaq_upserts (query) values (left(current_query(), 1000));
            end if;
            return null;
        end
        $$
    $create$, current_schema());
    execute format('revoke all on function %I.gaq_note_upsert() from public', current_schema());
end $do$;

create or replace trigger gaq_note_upsert before update on gaq_summaries
    for each statement execute function gaq_note_upsert();

-- Away again:
--     drop table gaq_upserts; drop function gaq_note_upsert() cascade;

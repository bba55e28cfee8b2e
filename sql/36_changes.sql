-- The changes of summaries: the values of a pair before and after each refresh that changed them. An operator can see why a
-- summary dropped since yesterday, for as long as the changes are kept.
--   select * from gaq.changes where data_pass_id = 12 and run_number = 526525 order by changed_at;
--   select gaq.keep_changes('30 days');     -- the default is 90 days; zero keeps none

set role gaq_owner;

-- Settings of this database, for every worker. They take effect with the next batch.
create table if not exists gaq.settings (
    only_row     bool primary key default true check (only_row),
    keep_changes interval not null default '90 days' check (keep_changes >= '0')
);
insert into gaq.settings default values on conflict do nothing;

-- Only the refresh writes here, so no writer of a source table ever touches these rows or indexes. The table has no unique
-- key, because a server whose clock is set back might return the same time twice, and a refresh must not fail then.
create table if not exists gaq.changes (
    data_pass_id                           bigint not null,
    run_number                             bigint not null,
    changed_at                             timestamptz not null,       -- when the pair was refreshed
    cause                                  text,                       -- what had made the pair stale
    refreshed_by                           text,
    removed                                bool not null,              -- the run left the data pass, so there is no value after
    bad_before                             double precision,           -- coverages from 0 to 1; null: no value
    bad_after                              double precision,
    good_before                            double precision,
    good_after                             double precision,
    mc_reproducible_before                 double precision,
    mc_reproducible_after                  double precision,
    missing_verifications_before           int,
    missing_verifications_after            int,
    undefined_quality_periods_before       int,
    undefined_quality_periods_after        int,
    not_computable_before                  bool,                       -- null: there was no summary before
    not_computable_after                   bool
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
-- gaq.trim_changes and queries for the last day use the index by age. Queries about one pair use the index by pair.
create index if not exists changes_by_age on gaq.changes (changed_at);
create index if not exists changes_by_pair on gaq.changes (data_pass_id, run_number, changed_at);
-- Rows without a key must stay deletable under CREATE PUBLICATION ... FOR ALL TABLES.
alter table gaq.changes replica identity full;

-- Sets how long changes are kept, and returns how long they were kept before.
create or replace function gaq.keep_changes(how_long interval) returns interval
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    before interval := (select keep_changes from gaq.settings);
begin
    insert into gaq.settings (keep_changes) values (how_long)
    on conflict (only_row) do update set keep_changes = excluded.keep_changes;
    return before;
end
$$;

-- Deletes expired changes, the oldest first, and at most `at_most` of them. Every batch calls this function, so no batch has
-- many changes to delete. The function skips changes that another worker is deleting.
create or replace function gaq.trim_changes(at_most int) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
    -- Almost always there is nothing to do: one look into the index.
    if exists (select from gaq.changes
               where changed_at < statement_timestamp() - (select keep_changes from gaq.settings)) then
        delete from gaq.changes c
        where c.ctid = any (array(
            select old.ctid
            from gaq.changes old
            where old.changed_at < statement_timestamp() - (select keep_changes from gaq.settings)
            order by old.changed_at
            limit at_most
            for update skip locked));
    end if;
end
$$;

grant execute on function gaq.keep_changes(interval) to gaq_worker;
grant select on gaq.changes, gaq.settings to gaq_reader;
reset role;

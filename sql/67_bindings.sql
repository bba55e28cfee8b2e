-- The bindings: which tables and columns gaq-listen reads, and whether they are still those of the installation.
-- Views and functions bind tables and columns by number, so they follow a rename. They stay with a table that was swapped, too:
-- after "new table, copy, rename" they read the old one, and all that follows the same numbers agrees. So the numbers are
-- recorded (gaq.bindings, in 65_objects.sql) with the names of the time. A name that now means another table or column is an alarm; a mere rename is none.

set role gaq_owner;

-- The columns to which source views and accessors are bound now, with their present names.
create or replace view gaq.bound_columns as
select n.nspname::text as schema_name, c.relname::text as table_name, a.attname::text as column_name,
       a.attrelid as table_number, a.attnum::int as column_number, format_type(a.atttypid, a.atttypmod) as type,
       coalesce((select md5(adbin::text) from pg_catalog.pg_attrdef
                 where adrelid = a.attrelid and adnum = a.attnum and a.attgenerated <> ''), '') as expression,
       bool_or(d.classid = 'pg_catalog.pg_proc'::regclass) as marked      -- a trigger compares it
from pg_catalog.pg_depend d
left join pg_catalog.pg_rewrite w on d.classid = 'pg_catalog.pg_rewrite'::regclass and w.oid = d.objid
left join pg_catalog.pg_class v on v.oid = w.ev_class
left join pg_catalog.pg_proc f on d.classid = 'pg_catalog.pg_proc'::regclass and f.oid = d.objid
join pg_catalog.pg_class c on d.refclassid = 'pg_catalog.pg_class'::regclass and c.oid = d.refobjid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
where d.refobjsubid > 0 and n.nspname <> 'gaq'
  and (v.relnamespace = 'gaq'::regnamespace and v.relname like 'source\_%'
       or f.pronamespace = 'gaq'::regnamespace and f.proname like 'as\_%')
group by n.nspname, c.relname, a.attname, a.attrelid, a.attnum, a.atttypid, a.atttypmod, a.attgenerated;


-- Returns a sentence for each condition that makes values wrong or hides changes without a mark, or no row if there is none.
-- `gaq-listen install` fixes each of them. (kind: detached, table, column or trigger.)
create or replace function gaq.source_changes() returns table (kind text, what text)
language sql stable
set search_path = pg_catalog, pg_temp       -- so that tables are named with their schema
as $$
    with bound as materialized (
        select * from gaq.bound_columns
    ), restored as (
        -- A restored dump has other numbers. Columns are told by their names then.
        select exists (select from gaq.bindings where bound_table <> table_number) as it
    ), known as (
        select b.schema_name, b.table_name, b.column_name, b.expression,
               b.bound_table::oid as table_number,
               case when restored.it then (select attnum from pg_attribute
                                           where attrelid = b.bound_table and attname = b.column_name and not attisdropped)
                    else b.column_number end as column_number,
               named.oid as named, named.relkind as named_kind, restored.it as is_restored
        from gaq.bindings b
        cross join restored
        left join (pg_class named join pg_namespace n on n.oid = named.relnamespace)
             on n.nspname = b.schema_name and named.relname = b.table_name
        where not exists (select from gaq.detached)
    ), swapped as (
        select distinct k.schema_name, k.table_name, k.table_number
        from known k
        where k.named <> k.table_number
          -- (A view of the old name over the renamed table is a way to rename.)
          and not exists (select from pg_rewrite join pg_depend d on d.objid = pg_rewrite.oid
                          where ev_class = k.named and k.named_kind = 'v' and d.classid = 'pg_rewrite'::regclass
                            and d.refclassid = 'pg_class'::regclass and d.refobjid = k.table_number)
    ), unread as (
        select distinct k.schema_name, k.table_name, k.table_number
        from known k
        where not exists (select from bound where bound.table_number = k.table_number)
          and not exists (select from swapped s where s.table_number = k.table_number)
    ), columns as (
        select k.*, a.attnum as number_now, c.oid::regclass::text as table_now,
               (select attname from pg_attribute where attrelid = c.oid and attnum = k.column_number and not attisdropped) as name_now
        from known k
        join pg_class c on c.oid = k.table_number
        left join pg_attribute a on a.attrelid = c.oid and a.attname = k.column_name and not a.attisdropped
        where not exists (select from swapped s where s.table_number = k.table_number)
          and not exists (select from unread u where u.table_number = k.table_number)
    )
    select 'detached' as kind, format('gaq-listen is detached since %s, so every summary counts as stale',
                                      to_char(since at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) as what
    from gaq.detached
    union all
    select 'table', format('%I.%I is another table than the one that gaq-listen reads, which %s', schema_name, table_name,
                           coalesce('is now called ' || (select oid::regclass::text from pg_class where oid = table_number),
                                    'is gone'))
    from swapped
    union all
    select 'table', format('gaq-listen does not read table %I.%I any more, because what read it was dropped',
                           schema_name, table_name)
    from unread
    union all
    select 'column', format('column %I of %s is another column than the one that gaq-listen reads, which %s',
                            column_name, table_now, coalesce('is now called ' || quote_ident(name_now), 'is gone'))
    from columns where number_now <> column_number
    union all
    select 'column', format('gaq-listen does not read %s of %s any more, because what read it was dropped',
                            string_agg(quote_ident(column_name), ', ' order by column_name), table_now)
    from columns
    where coalesce(number_now, column_number) = column_number
      and not exists (select from bound where bound.table_number = columns.table_number
                                          and bound.column_number = columns.column_number)
    group by table_now
    union all
    select 'column', format('column %I of %s is generated in another way than before, which changed values unseen',
                            columns.column_name, table_now)
    from columns
    join bound on bound.table_number = columns.table_number and bound.column_number = columns.column_number
    where number_now = columns.column_number and not is_restored and bound.expression <> columns.expression
      and (select server_version from gaq.installation) / 10000 = current_setting('server_version_num')::int / 10000
    union all
    -- 60: a trigger for each of INSERT, DELETE, UPDATE and TRUNCATE.
    select 'trigger', format('triggers that mark are missing or disabled on %s, so changes are not seen', table_number::regclass)
    from (select distinct table_number from bound where marked) marked
    where not exists (select from swapped s where s.table_number = marked.table_number)
      and not exists (select from gaq.detached) and exists (select from gaq.bindings)
      and (select bit_or(tgtype::int) & 60 from pg_trigger join pg_proc on pg_proc.oid = tgfoid
           where tgrelid = marked.table_number and pronamespace = 'gaq'::regnamespace and tgenabled = 'A') is distinct from 60
    order by 1, 2
$$;


-- Returns the tables and columns that were renamed since the installation. Such a rename does no harm.
create or replace function gaq.renamed_sources() returns table (name_then text, name_now text, is_table bool)
language sql stable
set search_path = pg_catalog, pg_temp
as $$
    select distinct format('%I.%I', b.schema_name, b.table_name), c.oid::regclass::text, true
    from gaq.bindings b
    join pg_class c on c.oid = b.bound_table
    join pg_namespace n on n.oid = c.relnamespace
    where (n.nspname, c.relname) <> (b.schema_name::name, b.table_name::name)
      and exists (select from gaq.bound_columns o where o.table_number = b.bound_table)
    union all
    select format('%I.%I.%I', b.schema_name, b.table_name, b.column_name), format('%s.%I', a.attrelid::regclass, a.attname), false
    from gaq.bindings b
    join pg_attribute a on a.attrelid = b.table_number and a.attnum = b.column_number and not a.attisdropped
    where a.attname <> b.column_name
      and exists (select from gaq.bound_columns o where o.table_number = b.table_number)
$$;

reset role;

-- Drops what an installation with other source tables has left: triggers on tables that were swapped, and their accessors.
-- A child of a source table, such as a partition, keeps its triggers.

do $$
declare
    former record;
begin
    for former in
        with recursive read as (
            select distinct d.refobjid as source_table
            from pg_class v
            join pg_rewrite w on w.ev_class = v.oid
            join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid and d.refclassid = 'pg_class'::regclass
            where v.relnamespace = 'gaq'::regnamespace and v.relname like 'source\_%'
            union
            select inhrelid from pg_inherits join read on inhparent = source_table
        )
        select tgname, tgrelid::regclass as source_table
        from pg_trigger
        join pg_proc on pg_proc.oid = tgfoid
        join pg_class on pg_class.oid = tgrelid
        where pronamespace = 'gaq'::regnamespace and tgparentid = 0 and relkind in ('r', 'p')
          and tgrelid not in (select source_table from read)
    loop
        execute format('drop trigger %I on %s', former.tgname, former.source_table);
    end loop;
end
$$;

set role gaq_owner;
do $$
declare
    former regprocedure;
begin
    for former in
        select f.oid::regprocedure
        from pg_proc f
        join pg_type t on t.oid = f.proargtypes[0]
        where f.pronamespace = 'gaq'::regnamespace and f.proname like 'as\_%' and t.typrelid <> 0
          and not exists (select from pg_class v
                          join pg_rewrite w on w.ev_class = v.oid
                          join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
                          where v.relnamespace = 'gaq'::regnamespace and v.relname like 'source\_%'
                            and d.refclassid = 'pg_class'::regclass and d.refobjid = t.typrelid)
    loop
        execute format('drop function %s', former);
    end loop;
end
$$;
reset role;

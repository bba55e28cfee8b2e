-- Removes everything of gaq-listen: the triggers on the source tables, the view gaq_summaries, schema gaq with all stored
-- summaries and marks, and every right that was given to our roles in this database. Source tables keep their data. An
-- adopted table gaq_summaries gets its name back, with the rows that it had then: later changes are not in it.

-- Raises an error that names the objects of others that depend on gaq_summaries or on schema gaq, before anything is changed.
-- If the setting gaq.drop_dependents is on, the uninstallation drops these objects, too.
do $$
declare
    dependents text;
begin
    with recursive ours as (
        select 'pg_class'::regclass::oid as classid, oid as objid from pg_class where relnamespace = to_regnamespace('gaq')
        union all
        select 'pg_proc'::regclass, oid from pg_proc where pronamespace = to_regnamespace('gaq')
        union all
        select 'pg_type'::regclass, oid from pg_type where typnamespace = to_regnamespace('gaq')
        union all
        select 'pg_constraint'::regclass, oid from pg_constraint where connamespace = to_regnamespace('gaq')
        union all
        select 'pg_attrdef'::regclass, d.oid
        from pg_attrdef d join pg_class c on c.oid = adrelid where relnamespace = to_regnamespace('gaq')
        union all
        select 'pg_class'::regclass, tgrelid from pg_trigger join pg_class c on c.oid = tgrelid
        where tgfoid = to_regprocedure('gaq.request_refresh()') and relkind = 'v'
    ), dependent as (
        select classid, objid from ours
        union
        -- A view depends through its rule, which is not worth a name; nor are our triggers, columns and types.
        select case when w.oid is null then d.classid else 'pg_class'::regclass end, coalesce(w.ev_class, d.objid)
        from dependent o
        join pg_depend d on d.refclassid = o.classid and d.refobjid = o.objid and d.deptype = 'n'
        left join pg_rewrite w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
    )
    select string_agg(pg_describe_object(classid, objid, 0), ', ' order by pg_describe_object(classid, objid, 0))
    into dependents
    from (select classid, objid from dependent except select classid, objid from ours) theirs
    where classid in ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_constraint'::regclass, 'pg_policy'::regclass,
                      'pg_attrdef'::regclass);
    if dependents is not null and coalesce(current_setting('gaq.drop_dependents', true), '') <> 'on' then
        raise exception 'nothing was changed: others have built on gaq_summaries or on schema gaq, and that would be dropped: %',
                        dependents
            using errcode = 'dependent_objects_still_exist',
                  hint = 'drop them, or let them go: gaq-listen uninstall --drop-dependents, or SET gaq.drop_dependents = on';
    end if;
end
$$;

-- [transaction] triggers, view and schema
-- DROP TRIGGER waits for the transactions that use the table, and lets nobody else in while it waits: hence the timeout.
do $$
declare
    marking record;
begin
    for marking in
        select tgrelid::regclass as source_table, tgname
        from pg_trigger
        join pg_proc on pg_proc.oid = tgfoid
        where pronamespace = to_regnamespace('gaq') and tgparentid = 0
        order by 1, 2
    loop
        execute format('drop trigger %I on %s', marking.tgname, marking.source_table);
    end loop;
end
$$;

-- (The query is that of gaq.adopted_table. An earlier version, or an installation that was interrupted, lacks the function.)
do $$
declare
    original regclass;
begin
    if to_regclass('gaq.original_summaries') is not null then
        select refobjid into original
        from pg_depend
        join pg_rewrite on pg_rewrite.oid = objid
        where classid = 'pg_rewrite'::regclass and ev_class = to_regclass('gaq.original_summaries')
          and refclassid = 'pg_class'::regclass and refobjid <> ev_class
        limit 1;
    end if;
    drop schema if exists gaq cascade;
    if original is not null then
        execute format('alter table %s rename to gaq_summaries', original);
    end if;
end
$$;

-- [transaction] the roles' rights, and the roles themselves where nobody else has them
do $$
declare
    ours text;
    given record;
    all_of_ours text[] := array['gaq_worker', 'gaq_reader', 'gaq_owner'];
begin
    foreach ours in array all_of_ours loop
        continue when not exists (select from pg_roles where rolname = ours);
        begin
            execute format('drop owned by %I', ours);
        exception when insufficient_privilege then
            -- That takes a membership, which who owns the tables need not have: then take back what was given, by hand.
            for given in
                select case when relkind = 'S' then 'sequence' else 'table' end as kind, oid::regclass::text as name
                from pg_class, aclexplode(relacl) where grantee = ours::regrole
                union
                select 'schema', quote_ident(nspname) from pg_namespace, aclexplode(nspacl) where grantee = ours::regrole
            loop
                begin
                    execute format('revoke all on %s %s from %I', given.kind, given.name, ours);
                exception when insufficient_privilege then
                    null;   -- somebody else has given it
                end;
            end loop;
        end;
        -- A role that somebody was given is theirs to keep; one that another database uses cannot be dropped.
        continue when exists (
            select from pg_auth_members m
            where m.roleid = ours::regrole and m.member <> (select oid from pg_roles where rolname = current_user)
              and m.member not in (select oid from pg_roles where rolname = any (all_of_ours)));
        begin
            execute format('drop role %I', ours);
        exception when dependent_objects_still_exist or insufficient_privilege then
            null;
        end;
    end loop;
end
$$;

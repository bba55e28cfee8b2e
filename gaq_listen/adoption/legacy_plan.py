"""Plan the adoption of a table gaq_summaries that an application has maintained itself."""

from gaq_listen.adoption.lost_triggers import psql
from gaq_listen.dba.plan.plan_reader import PlanReader, Row
from gaq_listen.wording import sanitize

COLUMNS = [
    "data_pass_id",
    "run_number",
    "bad_run_coverage",
    "explicitly_not_bad_run_coverage",
    "mc_reproducible_coverage",
    "missing_verifications_count",
    "undefined_quality_periods_count",
    "not_computable",
    "invalidated_at",
    "created_at",
    "updated_at",
]
KEPT = "gaq_summaries_original"
"""The name that an installation gives to the adopted table."""

_TABLE = """
select c.oid, format('%%I.%%I', s.nspname, c.relname) as name, pg_has_role(c.relowner, 'usage') as owned,
       array(select wanted from unnest(%(columns)s::text[]) wanted
             where not exists (select from pg_attribute
                               where attrelid = c.oid and attname = wanted and not attisdropped)) as lacking,
       exists (select from pg_class k where k.relnamespace = s.oid and k.relname = %(kept)s) as kept_before
from pg_class c
join pg_namespace s on s.oid = c.relnamespace
where s.nspname = %(schema)s and c.relname = 'gaq_summaries' and c.relkind in ('r', 'p')
"""

# Views by the relation they are of; foreign keys by the table that has them; triggers by their name.
_DEPENDENTS = """
select distinct format('view %%s', w.ev_class::regclass) as what
from pg_depend d
join pg_rewrite w on d.classid = 'pg_rewrite'::regclass and w.oid = d.objid
where d.refclassid = 'pg_class'::regclass and d.refobjid = %(table)s and w.ev_class <> %(table)s
union all
select format('foreign key %%I of %%s', conname, conrelid::regclass)
from pg_constraint where contype = 'f' and confrelid = %(table)s and conparentid = 0
union all
select format('trigger %%I', tgname) from pg_trigger
where tgrelid = %(table)s and not tgisinternal and tgname <> 'gaq_note_upsert'
order by 1
"""

# c: cascade. Any other refuses to let a run or a data pass go that has a row.
_HOLDING = """
select format('%%I', conname) as name
from pg_constraint where contype = 'f' and conrelid = %(table)s and confdeltype <> 'c' and conparentid = 0
order by 1
"""

_SEEN = """
select case when count(*) > 0
            then format('%s of them, the last at %s UTC: %s', count(*),
                        date_trunc('second', max(seen_at at time zone 'UTC')),
                        (array_agg(query order by seen_at desc))[1]) end
from {table}
"""

_WATCH = "select to_regclass(format('%%I.gaq_upserts', %(schema)s::text)) is not null as there"

_COUNTS = """
select format('%s rows, %s of them invalidated', count(*), count(invalidated_at))
from {table}
"""


def table_to_adopt(reader: PlanReader) -> list[Row]:
    """Return a row about the application's table gaq_summaries, with its ``oid``, or no row if there is no table."""
    return reader.ask(_TABLE, columns=COLUMNS, kept=KEPT)


def adoption_of(reader: PlanReader) -> str | None:
    """Return a sentence about the application's table that an installation would adopt, or None if there is none."""
    for table in table_to_adopt(reader):
        name = table["name"]
        if table["lacking"]:
            reader.obstacle(
                f"a table {name} exists that is not gaq-listen's",
                f"gaq-listen needs a view of that name, and cannot adopt a table without {table['lacking'][0]}",
                f"rename the table: ALTER TABLE {name} RENAME TO ...",
            )
            return None
        if table["kept_before"]:
            why = "a relation of that name exists"
            reader.obstacle(f"{name} cannot be kept as {KEPT}", why, "rename or drop that relation")
        if not table["owned"]:
            why = "only its owner can rename it, as an adoption does"
            reader.obstacle(f"this role does not own {name}", why, "install as its owner, or as a superuser")
        _advise(reader, table["oid"], name)
        counts = reader.attempt(_COUNTS.format(table=name))
        return (
            f"The installation would adopt the table {name} ({counts or 'the server could not count its rows'}): it "
            f"keeps and shows the values, marks the invalidated pairs, and renames the table to {KEPT}. "
            "uninstall gives the table its name back. The step that adopts it (52_gaq_summaries.sql) locks the table "
            "under ACCESS EXCLUSIVE while it copies."
        )
    return None


def _advise(reader: PlanReader, table: int, name: str) -> None:
    """Add findings about what reads or writes the table."""
    reader.advise(
        "programs that store summaries themselves must stop before the installation",
        "gaq_summaries will be a view, and only its invalidated_at can be updated",
        "stop the application's own worker; the application can go on",
        "warning",
    )
    reader.advise(
        "a view takes no INSERT ... ON CONFLICT ... DO UPDATE (an upsert), no ON CONFLICT with columns, and no DELETE",
        "programs with such statements would fail after the installation",
        "replace each by INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (...), which asks for a "
        "recomputation whether a summary exists or not",
        "warning",
    )
    _advise_upserts(reader, name)
    if dependents := [row["what"] for row in reader.ask(_DEPENDENTS, table=table)]:
        reader.advise(
            f"these depend on the table {name}: {', '.join(dependents)}",
            "after the installation, they depend on the renamed table, which nobody refreshes",
            "create them again on the view gaq_summaries",
            "warning",
        )
    if keys := [row["name"] for row in reader.ask(_HOLDING, table=table)]:
        drops = ", ".join(f"DROP CONSTRAINT {key}" for key in keys)
        reader.advise(
            f"the foreign keys of {name} stay on the renamed table: {', '.join(keys)}",
            "nobody can delete a run or a data pass that has a row there",
            f"if anybody ever deletes these, after the installation: ALTER TABLE {name}_original {drops}",
            "warning",
        )


def _advise_upserts(reader: PlanReader, name: str) -> None:
    """Add a finding about the upserts that sql/bookkeeping_upserts.sql has recorded, or that it is not installed."""
    (watch,) = reader.ask(_WATCH)
    why = "an upsert fails on the view that gaq_summaries will be"
    if not watch["there"]:
        reader.advise(
            f"nothing records which programs upsert into {name}",
            why,
            f"before the installation: gaq-listen sql bookkeeping_upserts | {psql(reader.schema)}; plan a day later",
        )
    elif seen := reader.attempt(_SEEN.replace("{table}", f"{name.rpartition('.')[0]}.gaq_upserts")):
        reader.advise(
            f"the application upserts into {name}: {sanitize(seen)}",
            why,
            "replace the statements first; docs/guides/adopting.md says how",
            "warning",
        )

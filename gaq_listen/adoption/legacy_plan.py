"""What ``plan`` tells of a table gaq_summaries that an application has kept itself, and that would be taken over."""

from gaq_listen.adoption.lost_triggers import psql
from gaq_listen.dba.plan_queries import PlanReader
from gaq_listen.observers.wording import sanitize

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
"""The name under which it is kept."""

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


def adoption_of(look: PlanReader) -> str | None:
    """Looks at the table; a sentence about it, None where there is none that can be taken over."""
    for table in look.ask(_TABLE, columns=COLUMNS, kept=KEPT):
        name = table["name"]
        if table["lacking"]:
            rename = (
                f"Rename it: ALTER TABLE {name} RENAME TO ...; it cannot be taken over without {table['lacking'][0]}"
            )
            look.block(f"There is a table {name}, and it is not gaq-listen's", rename)
            return None
        if table["kept_before"]:
            look.block(f"{name} cannot be kept as {KEPT}: there is something of that name", "Rename or drop that")
        if not table["owned"]:
            look.block(f"You do not own {name}, which is taken over", "Install as its owner, or as a superuser")
        _warn(look, table["oid"], name)
        counts = look.attempt(_COUNTS.format(table=name))
        return (
            f"The table {name} ({counts or 'its rows could not be counted'}) would be taken over: its values are kept "
            f"and shown, what is invalidated is marked, the table itself stays as {KEPT}, and uninstall gives it its "
            "name back. The step that does it (52_gaq_summaries.sql) locks it against everybody (ACCESS EXCLUSIVE) "
            "while it copies."
        )
    return None


def _warn(look: PlanReader, table: int, name: str) -> None:
    look.warn(
        "Whatever stores summaries itself must stop first: gaq_summaries will be a view, and only its invalidated_at "
        "can be updated",
        "Stop the application's own worker; the application may go on",
    )
    look.warn(
        "INSERT ... ON CONFLICT ... DO UPDATE (an upsert), ON CONFLICT with a list of columns, and DELETE cannot work "
        "on a view",
        "Instead of each: INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (...), "
        "which asks for recomputation whether there is a summary or not",
    )
    _warn_of_upserts(look, name)
    if dependents := [row["what"] for row in look.ask(_DEPENDENTS, table=table)]:
        what = f"What depends on the table {name} goes on with the one that is kept: {', '.join(dependents)}"
        look.warn(what, "Make it anew, for the view gaq_summaries")
    if holding := [row["name"] for row in look.ask(_HOLDING, table=table)]:
        drops = ", ".join(f"DROP CONSTRAINT {key}" for key in holding)
        look.warn(
            f"The table that is kept goes on referring to runs and data passes ({', '.join(holding)}): one that has a "
            "row in it cannot be deleted",
            f"Where they are ever deleted, once installed: ALTER TABLE {name}_original {drops}",
        )


def _warn_of_upserts(look: PlanReader, name: str) -> None:
    """Tell of upserts that sql/bookkeeping_upserts.sql has found, or that nobody looks for them."""
    (watch,) = look.ask(_WATCH)
    if not watch["there"]:
        what = f"Nothing looks for upserts of {name} that are still in use"
        look.warn(
            what,
            f"Before the switch: gaq-listen sql bookkeeping_upserts | {psql(look.schema)}, and plan again a day later",
        )
    elif seen := look.attempt(_SEEN.replace("{table}", f"{name.rpartition('.')[0]}.gaq_upserts")):
        look.warn(
            f"The application upserts into {name}: {sanitize(seen)}",
            "Replace it first: docs/guides/adopting.md says how",
        )

"""List mutants of the refresh: another order, or one that deletes, claims or seeds what it should not."""

from __future__ import annotations

from tests.proof.gates import gate
from tests.proof.mutant import AGAIN, COMMIT, LIMITED, VERIFIED, Mutant, anna, bob, first, second
from tests.proof.stage import UNMARKED, WAITS, Step

# Pieces of the text of gaq.refresh.
COMPUTED = (
    "from gaq.compute_apart("
    "(select array_agg(data_pass_id) from present), (select array_agg(run_number) from present)) f"
)
COMPUTED_EARLY = "from pg_temp.early f join present using (data_pass_id, run_number)"
EARLY = "create temporary table early on commit drop as select * from gaq.compute_apart"
ALL_PAIRS = "select array_agg(data_pass_id), array_agg(run_number) into passes, runs from gaq.source_pairs;"
EXPANDED = "    expanded := gaq.expand(looked_up);\n    loop"
DELETED = "delete from gaq.invalidations i\n        where i.ctid"
RETURNED = "\n        returning i.data_pass_id, i.run_number, i.invalidated_at, i.cause"
SEEN = "select i.data_pass_id, i.run_number, i.invalidated_at, i.cause from gaq.invalidations i\n        where i.ctid"
NOT_SEEN = """where not exists (select from gaq.summaries s
                                  where s.data_pass_id = m.data_pass_id and s.run_number = m.run_number offset 0)"""
STILL_MARKED = """and exists (select from gaq.invalidations i         -- (offset 0: by the index, one by one)
                              where i.data_pass_id = m.data_pass_id and i.run_number = m.run_number offset 0)"""
LAST_EXPANDED = "select max(number) from gaq.wide_invalidations where id = any (ids)"
END = f"{gate('end')}\n"


def deletes_later(which: str, *noted: tuple[str, str]) -> dict[str, list[tuple[str, str]]]:
    """Return the changes for a refresh that deletes at its end all marks of its pairs up to a limit, seen or not."""
    delete = (
        "delete from gaq.invalidations i using unnest(passes, runs) c (data_pass_id, run_number)"
        f" where (i.data_pass_id, i.run_number) = (c.data_pass_id, c.run_number) and {which};"
    )
    return {"gaq.refresh": [(DELETED, SEEN), (RETURNED, ""), (END, f"{END}{delete}\n"), *noted]}


def notes_last(column: str, kind: str) -> list[tuple[str, str]]:
    """Return the changes that remember the limit."""
    return [
        ("    why text[];", f"    why text[];\n    last_seen {kind};"),
        (gate("delete"), f"{gate('delete')} select max({column}) into last_seen from gaq.invalidations;"),
    ]


# A mark of bob's that is older than one of anna's, and is committed only when the refresh has come to its place.
def late(place: str, change: str = LIMITED, seen: str = AGAIN) -> tuple[Step, ...]:
    return bob(change) + anna(seen, COMMIT) + first(place) + bob(COMMIT) + first("hold")


REFRESH = [
    Mutant(
        "marks are compared at millisecond precision",
        anna(AGAIN, COMMIT) + first("end") + bob(LIMITED, COMMIT) + first("hold"),
        UNMARKED,
        altered=deletes_later(
            "date_trunc('milliseconds', i.invalidated_at) <= date_trunc('milliseconds', last_seen)",
            *notes_last("invalidated_at", "timestamptz"),
        ),
        # A clock that goes on by a microsecond a mark.
        given="""
            CREATE SEQUENCE gaq.ticks;
            GRANT USAGE ON gaq.ticks TO gaq_owner;
            ALTER TABLE gaq.invalidations ALTER invalidated_at
                SET DEFAULT timestamptz '2024-03-01 00:00Z' + nextval('gaq.ticks') * interval '1 us';
        """,
    ),
    Mutant(
        "marks are deleted up to the time of the claim",
        late("end"),
        UNMARKED,
        altered=deletes_later("i.invalidated_at <= at"),
    ),
    Mutant(
        "marks are deleted up to the last number seen",
        late("end"),
        UNMARKED,
        altered=deletes_later("i.id <= last_seen", *notes_last("id", "bigint")),
        given="ALTER TABLE gaq.invalidations ADD id bigint GENERATED ALWAYS AS IDENTITY",
    ),
    Mutant(
        "wide marks are expanded up to the last number seen",
        late("fold wide", VERIFIED, "INSERT INTO qc_flag_verifications (flag_id) VALUES (12)"),
        UNMARKED,
        altered={
            "gaq.expand": [
                (
                    "delete from gaq.wide_invalidations where id = any (ids)",
                    f"delete from gaq.wide_invalidations where number <= ({LAST_EXPANDED})",
                )
            ]
        },
        given="ALTER TABLE gaq.wide_invalidations ADD number bigint GENERATED ALWAYS AS IDENTITY",
    ),
    Mutant(
        "pairs are computed before their marks are deleted",
        late("delete"),
        UNMARKED,
        altered={
            "gaq.refresh": [
                (gate("delete"), f"{EARLY}(passes, runs);\n{gate('delete')}"),
                (COMPUTED, COMPUTED_EARLY),
            ]
        },
    ),
    Mutant(
        "pairs are computed before they are claimed",
        late("scan"),
        UNMARKED,
        altered={
            "gaq.refresh": [
                (EXPANDED, f"expanded := gaq.expand();\n{ALL_PAIRS}\n{EARLY}(passes, runs);\nloop"),
                (COMPUTED, COMPUTED_EARLY),
            ]
        },
    ),
    Mutant(
        "pairs are claimed, marks deleted and summaries computed in one statement",
        anna(AGAIN, COMMIT) + second("claim") + bob(LIMITED, COMMIT) + first("hold") + second("hold"),
        UNMARKED,
        sql="one_statement.sql",
    ),
    Mutant(
        "a pair is seeded that another worker has removed",
        anna("DELETE FROM data_pass_runs WHERE run_number = 103", COMMIT)
        + second("seed")
        + first("hold")
        + second("hold"),
        UNMARKED,
        altered={"gaq.refresh": [(STILL_MARKED, "")]},
    ),
    Mutant(
        "a pair is seeded that another worker is removing",
        anna("DELETE FROM data_pass_runs WHERE run_number = 103", COMMIT)
        + first("end")
        + anna("INSERT INTO data_pass_runs VALUES (3, 104)", COMMIT)
        + second("hold"),
        WAITS,
        altered={
            "gaq.refresh": [(f"{NOT_SEEN}\n                  {STILL_MARKED}", STILL_MARKED.replace("and", "where", 1))]
        },
    ),
    Mutant(
        "a worker waits for what another has claimed",
        anna(AGAIN, COMMIT) + first("end") + second("hold"),
        WAITS,
        altered={"gaq.refresh": [("for no key update of s skip locked", "for no key update of s")]},
    ),
]

"""Random statements that change a small world: three data passes, four runs, four detectors.

Names are drawn from so few that changes meet: a statement that finds nothing to change, or that a
constraint refuses, is fine.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import strategies as st

from tests.support.shapes import BOOKKEEPING, LINK, REFERENCE, Shape, Variant

# As far as it is not there already.
_START = """
INSERT INTO detectors SELECT n, 'D' || n FROM generate_series(1, 4) n ON CONFLICT DO NOTHING;
INSERT INTO data_passes SELECT n, 'pass ' || n FROM generate_series(1, 3) n ON CONFLICT DO NOTHING;
INSERT INTO qc_flag_types VALUES (1, 'Good', false, false), (2, 'Bad', true, false), (3, 'Limited', true, true)
    ON CONFLICT DO NOTHING;
INSERT INTO runs (run_number, time_o2_start, time_o2_end)
    SELECT n, '2024-01-01 00:00Z', '2024-01-01 08:00Z' FROM generate_series(1, 4) n ON CONFLICT DO NOTHING;
INSERT INTO data_pass_runs SELECT p, r FROM generate_series(1, 2) p, generate_series(1, 2) r ON CONFLICT DO NOTHING;
INSERT INTO gaq_detectors SELECT data_pass_id, run_number, n FROM data_pass_runs p, generate_series(1, 2) n
    WHERE NOT EXISTS (SELECT FROM gaq_detectors d
                      WHERE (d.data_pass_id, d.run_number, d.detector_id) = (p.data_pass_id, p.run_number, n));
<flags>
INSERT INTO qc_flag_verifications (id, flag_id) VALUES (1, 1), (2, 2), (3, 2), (4, 9) ON CONFLICT DO NOTHING;
"""

# On each detector a flag from end to end, and a later one on top of it.
_DRAWN = """
SELECT row_number() OVER (ORDER BY flag, detector_id, data_pass_id, run_number) AS id,
       data_pass_id, run_number, detector_id, type, "from", "to", created
FROM (SELECT DISTINCT data_pass_id, run_number, detector_id FROM gaq_detectors) d
JOIN (VALUES
    (1, 1, 1, null::timestamptz, null::timestamptz, '2024-02-01 00:00Z'::timestamptz),
    (2, 1, 3, null, null, '2024-02-01 00:00Z'),
    (1, 2, 2, '2024-01-01 02:00Z', '2024-01-01 04:00Z', '2024-02-01 00:01Z'),
    (2, 2, 1, '2024-01-01 02:00Z', '2024-01-01 06:00Z', '2024-02-01 00:01Z')
) drawn (detector, flag, type, "from", "to", created) ON detector = detector_id
"""
_FLAGS = Variant(
    'INSERT INTO qc_flags (id, data_pass_id, run_number, detector_id, flag_type_id, "from", "to", created_at)'
    f" {_DRAWN} ON CONFLICT DO NOTHING;",
    f"WITH drawn AS ({_DRAWN}), inserted AS ("
    'INSERT INTO qc_flags (id, run_number, detector_id, flag_type_id, "from", "to", created_at)'
    ' SELECT id, run_number, detector_id, type, "from", "to", created FROM drawn ON CONFLICT DO NOTHING)'
    f" INSERT INTO {LINK} SELECT data_pass_id, id FROM drawn ON CONFLICT DO NOTHING;",
)


def start(shape: Shape) -> str:
    """What there is at the start, as far as it is not there already."""
    return _START.replace("<flags>", shape.of(_FLAGS))


# Mostly of what is there at the start.
NAMES: dict[str, st.SearchStrategy[Any]] = {
    "run": st.sampled_from([1, 2, 1, 2, 3, 4]),
    "pass": st.sampled_from([1, 2, 1, 2, 3]),
    "detector": st.sampled_from([1, 2, 1, 2, 3, 4]),
    "type": st.sampled_from([1, 2, 3]),
    "flag": st.sampled_from(range(1, 18)),
    "verification": st.sampled_from(range(1, 6)),
    "bool": st.sampled_from(["true", "false"]),
    "instant": st.sampled_from(["null"] + [f"'2024-01-01 0{hour}:00Z'" for hour in range(0, 9, 2)]),
    "creation": st.sampled_from([f"'2024-02-01 00:0{minute}Z'" for minute in range(3)]),
}


def fill(draw: st.DrawFn, template: str) -> str:
    return re.sub(r"<(\w+)>", lambda name: str(draw(NAMES[name[1]])), template)


@st.composite
def filled(draw: st.DrawFn, *templates: str) -> str:
    """One of the templates, with one of ``NAMES`` for each ``<name>`` in it."""
    return fill(draw, draw(st.sampled_from(templates)))


@st.composite
def assignments(draw: st.DrawFn, *templates: str) -> str:
    """Assignments to one column or two."""
    drawn = draw(st.lists(st.sampled_from(templates), min_size=1, max_size=2, unique_by=lambda it: it.split()[0]))
    return fill(draw, ", ".join(drawn))


def update(table: str, changes: st.SearchStrategy[str], rows: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(f"UPDATE {table} SET {{}} WHERE {{}}".format, changes, rows)


def delete(table: str, rows: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds(f"DELETE FROM {table} WHERE {{}}".format, rows)


A_FLAG = filled("id = <flag>", "id = <flag>", "id IN (<flag>, <flag>)", "detector_id = <detector>")
OF_A_PASS = ("data_pass_id = <pass>", "data_pass_id = 3 - qc_flags.data_pass_id", "data_pass_id = null")
OF_A_RUN = (
    "run_number = <run>",
    "run_number = 3 - qc_flags.run_number",
    "detector_id = <detector>",
    "flag_type_id = <type>",
    '"from" = <instant>',
    '"to" = <instant>',
    "deleted = <bool>",
    "deleted = not qc_flags.deleted",
    "created_at = <creation>",
    "comment = 'seen'",
)
OF_A_FLAG = assignments(*OF_A_PASS, *OF_A_RUN)
FLAGS = st.one_of(
    st.builds(
        "INSERT INTO qc_flags (id, data_pass_id, run_number, detector_id, flag_type_id,"
        ' "from", "to", deleted, created_at) VALUES {} ON CONFLICT (id) DO {}'.format,
        st.lists(
            filled(
                "(<flag>, <pass>, <run>, <detector>, <type>, null, null, false, <creation>)",
                "(<flag>, <pass>, <run>, <detector>, <type>, <instant>, <instant>, <bool>, <creation>)",
                "(<flag>, null, <run>, <detector>, <type>, <instant>, <instant>, false, <creation>)",
            ),
            min_size=1,
            max_size=2,
            unique_by=lambda row: row.split(",")[0],
        ).map(", ".join),
        st.one_of(st.just("NOTHING"), OF_A_FLAG.map("UPDATE SET {}".format)),
    ),
    update("qc_flags", OF_A_FLAG, A_FLAG),
    update("qc_flags", filled("id = <flag>"), filled("id = <flag>")),
    delete("qc_flags", A_FLAG),
)

# Where a flag is linked to its data pass: the flag, and the link, each for itself.
OF_A_FLAG_ALONE = assignments(*OF_A_RUN)
FLAGS_ALONE = st.one_of(
    st.builds(
        'INSERT INTO qc_flags (id, run_number, detector_id, flag_type_id, "from", "to", deleted, created_at)'
        " VALUES {} ON CONFLICT (id) DO {}".format,
        filled(
            "(<flag>, <run>, <detector>, <type>, null, null, false, <creation>)",
            "(<flag>, <run>, <detector>, <type>, <instant>, <instant>, <bool>, <creation>)",
        ),
        st.one_of(st.just("NOTHING"), OF_A_FLAG_ALONE.map("UPDATE SET {}".format)),
    ),
    update("qc_flags", OF_A_FLAG_ALONE, A_FLAG),
    update("qc_flags", filled("id = <flag>"), filled("id = <flag>")),
    delete("qc_flags", A_FLAG),
)
A_LINK = filled(
    "quality_control_flag_id = <flag>",
    "quality_control_flag_id IN (<flag>, <flag>)",
    "(data_pass_id, quality_control_flag_id) = (<pass>, <flag>)",
)
LINKS = st.one_of(
    filled(
        f"INSERT INTO {LINK} VALUES (<pass>, <flag>) ON CONFLICT DO NOTHING",
        f"INSERT INTO {LINK} VALUES (<pass>, <flag>), (<pass>, <flag>) ON CONFLICT DO NOTHING",
    ),
    update(
        LINK,
        assignments("data_pass_id = <pass>", "data_pass_id = 3 - data_pass_id", "quality_control_flag_id = <flag>"),
        A_LINK,
    ),
    delete(LINK, A_LINK),
)

A_VERIFICATION = filled("id = <verification>", "flag_id = <flag>")
VERIFICATIONS = st.one_of(
    filled(
        "INSERT INTO qc_flag_verifications (id, flag_id) VALUES (<verification>, <flag>)"
        " ON CONFLICT (id) DO UPDATE SET flag_id = excluded.flag_id",
    ),
    update(
        "qc_flag_verifications",
        assignments("flag_id = <flag>", "id = <verification>", "comment = 'seen'"),
        A_VERIFICATION,
    ),
    delete("qc_flag_verifications", A_VERIFICATION),
)

A_PAIR = filled("(data_pass_id, run_number) = (<pass>, <run>)", "run_number = <run>", "data_pass_id = <pass>")
A_DETECTOR = filled("(data_pass_id, run_number, detector_id) = (<pass>, <run>, <detector>)", "detector_id = <detector>")
PAIRS = st.one_of(
    filled("INSERT INTO data_pass_runs VALUES (<pass>, <run>) ON CONFLICT DO NOTHING"),
    update(
        "data_pass_runs", filled("data_pass_id = <pass>", "data_pass_id = 3", "run_number = 5 - run_number"), A_PAIR
    ),
    delete("data_pass_runs", A_PAIR),
    update("gaq_summaries", st.just("invalidated_at = now()"), A_PAIR),
    filled("INSERT INTO gaq_summaries (data_pass_id, run_number) VALUES (<pass>, <run>)"),
)
DETECTORS = st.one_of(
    filled("INSERT INTO gaq_detectors VALUES (<pass>, <run>, <detector>) ON CONFLICT DO NOTHING"),
    update(
        "gaq_detectors",
        filled(
            "detector_id = <detector>",
            "detector_id = 5 - detector_id",
            "run_number = 5 - run_number",
            "data_pass_id = 3",
        ),
        A_DETECTOR,
    ),
    delete("gaq_detectors", A_DETECTOR),
)

RUNS = st.one_of(
    update(
        "runs",
        assignments(
            "time_o2_start = <instant>",
            "time_o2_end = <instant>",
            "time_trg_start = <instant>",
            "time_trg_end = <instant>",
            "first_tf_timestamp = <instant>",
            "last_tf_timestamp = <instant>",
            "run_number = <run>",
            "pdp_beam_type = 'pp'",
        ),
        filled("run_number = <run>", "run_number <> <run>"),
    ),
    filled(
        "DELETE FROM runs WHERE run_number = <run>",
        "INSERT INTO runs (run_number, time_trg_start, time_trg_end) VALUES (<run>, <instant>, <instant>)"
        " ON CONFLICT (run_number) DO UPDATE SET time_trg_start = excluded.time_trg_start",
    ),
)
FLAG_TYPES = update(
    "qc_flag_types",
    assignments(
        "bad = <bool>", "bad = not qc_flag_types.bad", "mc_reproducible = <bool>", "id = <type>", "name = 'other'"
    ),
    filled("id = <type>"),
)

_OTHERS = (VERIFICATIONS, DETECTORS, PAIRS, RUNS, RUNS, FLAG_TYPES, FLAG_TYPES)
STATEMENTS = {
    REFERENCE: st.one_of(FLAGS, FLAGS, *_OTHERS),
    BOOKKEEPING: st.one_of(FLAGS_ALONE, FLAGS_ALONE, LINKS, LINKS, *_OTHERS),
}
"""Statements that a transaction may be open after."""

DISASTERS = st.sampled_from(
    [
        "TRUNCATE qc_flag_verifications",
        "TRUNCATE gaq_detectors",
        "TRUNCATE data_pass_runs",
        "TRUNCATE qc_flags CASCADE",
        "TRUNCATE runs CASCADE",
        "DELETE FROM data_passes WHERE id = 1",
    ]
)
"""Statements that leave little, or let nobody read until they are committed."""

"""List mutants of triggers that read a table, where they cannot see uncommitted changes of others."""

from __future__ import annotations

from tests.proof.mutant import AGAIN, COMMIT, LIMITED, Mutant, anna, bob, first
from tests.proof.stage import UNMARKED

TRIGGERS = [
    Mutant(
        "a trigger skips pairs that are stale already",
        anna(AGAIN, COMMIT) + bob(LIMITED) + first("hold") + bob(COMMIT),
        UNMARKED,
        altered={
            "gaq.mark_qc_flags": [
                (
                    "(table after except all table before)) changed;",
                    (
                        "(table after except all table before)) changed"
                        " where not exists (select from gaq.invalidations i"
                        " where (i.data_pass_id, i.run_number) = (changed.data_pass_id, changed.run_number));"
                    ),
                )
            ]
        },
    ),
    Mutant(
        "looks for siblings: two transactions delete one each of a flag's two verifications",
        anna("DELETE FROM qc_flag_verifications WHERE id = 1")
        + bob("DELETE FROM qc_flag_verifications WHERE id = 2")
        + anna(COMMIT)
        + bob(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
    Mutant(
        "looks for siblings: the first verification is deleted while a second is inserted",
        anna("DELETE FROM qc_flag_verifications WHERE id = 3")
        + bob("INSERT INTO qc_flag_verifications (flag_id) VALUES (21)")
        + anna(COMMIT)
        + first("hold")
        + bob(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
    Mutant(
        "looks for pairs: a run's QC time changes while the run enters another data pass",
        anna("UPDATE runs SET last_tf_timestamp = '2024-01-01 05:00Z' WHERE run_number = 101")
        + bob(
            "INSERT INTO data_pass_runs VALUES (3, 101)",
            "INSERT INTO gaq_detectors VALUES (3, 101, 1)",
            'INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id, "to")'
            " VALUES (3, 101, 1, 2, '2024-01-01 03:00Z')",
            COMMIT,
        )
        + first("hold")
        + anna(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
    Mutant(
        "looks for pairs: a type becomes bad while a flag of it enters a pair that had none",
        anna("UPDATE qc_flag_types SET bad = true WHERE id = 4")
        + bob(
            "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES (3, 103, 1, 4)", COMMIT
        )
        + first("hold")
        + anna(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
    Mutant(
        "looks for pairs: a flag is verified while it moves to another run",
        anna("INSERT INTO qc_flag_verifications (flag_id) VALUES (12)")
        + bob("UPDATE qc_flags SET run_number = 102 WHERE id = 12", COMMIT)
        + first("hold")
        + anna(COMMIT),
        UNMARKED,
        sql="looks_elsewhere.sql",
    ),
]

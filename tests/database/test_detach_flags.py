"""A detached installation depends on no column of a source table of flags."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from gaq_listen.dba.scripts import script
from tests.support.shapes import Shape, in_every_shape


@in_every_shape
def test_detached_a_column_of_flags_can_change_its_type(db: Connection[Any], shape: Shape) -> None:
    db.execute(script("detach").encode())
    db.execute("alter table qc_flags alter detector_id type bigint")
    assert db.execute("select * from gaq.source_flags_of(1, 1, array[1])").fetchall() == []
    assert db.execute("select * from gaq.source_flags_of_data_pass(1, array[1])").fetchall() == []
    assert db.execute("select gaq.source_reads_data_pass(1, 1000)").fetchall() == [(False,)]

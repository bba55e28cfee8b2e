"""Run a short storm of random mishaps. ``make storm MINUTES=10`` runs a long one."""

from tests.faults.mishaps import MISHAPS
from tests.faults.server import Server
from tests.faults.storm import storm
from tests.faults.storm_tally import StormTally

SECONDS = 12.0


def test_after_each_mishap_all_summaries_are_fresh_and_right(seed: Server) -> None:
    tally = storm(seed, SECONDS, number=7)
    assert tally.times.total() > 3
    assert tally.changes > 100
    assert tally.wrong.total() == 0
    assert "total" in tally.table()


def test_the_table_names_mishaps_that_were_not_tested() -> None:
    tally = StormTally(["fire", "flood", "wind"])
    tally.not_tested["fire"] = "NOT TESTED: nothing here burns"
    assert tally.rarest() == ["flood", "wind"]
    tally.add("flood", 3, 0.5, 0)
    assert tally.rarest() == ["wind"]
    *_, fire, left = tally.table().splitlines()
    assert fire == "fire: NOT TESTED: nothing here burns"
    assert left == "NOT TESTED, because the time was too short: wind"


def test_every_mishap_has_a_name_of_its_own() -> None:
    assert {"failover", "disk full", "pooler in between", "clock of the server set"} <= MISHAPS.keys()

"""A short storm; a long one is ``make storm MINUTES=10``."""

from tests.faults.mishaps import MISHAPS
from tests.faults.server import Server
from tests.faults.storm import storm
from tests.faults.storm_tally import Account

SECONDS = 12.0


def test_after_each_mishap_everything_is_fresh_and_right(seed: Server) -> None:
    account = storm(seed, SECONDS, number=7)
    assert account.times.total() > 3
    assert account.changes > 100
    assert account.wrong.total() == 0
    assert "altogether" in account.table()


def test_what_cannot_happen_here_or_did_not_is_said() -> None:
    account = Account(["fire", "flood", "wind"])
    account.not_tested["fire"] = "NOT TESTED: there is nothing that burns"
    assert account.rarest() == ["flood", "wind"]
    account.add("flood", 3, 0.5, 0)
    assert account.rarest() == ["wind"]
    *_, fire, left = account.table().splitlines()
    assert fire == "fire: NOT TESTED: there is nothing that burns"
    assert left == "NOT TESTED, for the time was too short: wind"


def test_every_mishap_has_a_name_of_its_own() -> None:
    assert {"failover", "disk full", "pooler in between", "clock of the server set"} <= MISHAPS.keys()

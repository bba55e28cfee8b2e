"""A short storm; a long one is ``make storm MINUTES=10``."""

from tests.faults.server import Server
from tests.faults.storm import storm

SECONDS = 15.0


def test_after_each_mishap_everything_is_fresh_and_right(server: Server) -> None:
    account = storm(server, SECONDS, seed=7)
    assert account.times.total() > 3
    assert account.changes > 100
    assert account.wrong.total() == 0
    assert "altogether" in account.table()

"""A worker tells systemd that it is ready, that it is alive, and that it stops."""

import shutil
import socket
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.program import running
from tests.faults.proxy import network
from tests.faults.server import DATABASE, WORKER, Server, freeze, thaw
from tests.support.waiting import until

UNIT = Path(__file__).parents[2] / "docs" / "gaq-listen.service"


class ServiceManager:
    """The socket of systemd, to which services write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[str] = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()

    def _listen(self) -> None:
        while message := self.socket.recv(4096):
            self.heard += message.decode().split("\n")

    def variables(self, watchdog: float) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": str(int(watchdog * 1e6))}

    def pings(self) -> int:
        return self.heard.count("WATCHDOG=1")

    def hear_all(self) -> list[str]:
        """Return what the service has sent. Wait until the thread has read everything that was sent before."""
        marker = f"X_MARKER={uuid.uuid4()}"
        self._send(marker.encode())
        until(lambda: marker in self.heard, "the thread has read everything")
        self.heard.remove(marker)
        return self.heard

    def _send(self, message: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(message, str(self.path))

    def close(self) -> None:
        self._send(b"")
        self.thread.join()
        self.socket.close()


@pytest.fixture
def manager() -> Iterator[ServiceManager]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        manager = ServiceManager(Path(directory, "notify"))
        yield manager
        manager.close()


def test_a_worker_is_ready_when_it_listens_and_tells_its_stop(server: Server, manager: ServiceManager) -> None:
    with running(server.dsn(user=WORKER), **manager.variables(watchdog=60)) as program:
        until(lambda: "READY=1" in manager.heard, "the worker is ready")
        assert "STATUS=listening: the worker notices a change at once" in manager.hear_all()
        assert program.stop() == 0
        assert manager.hear_all()[-2:] == ["STOPPING=1", "STATUS=stopping: SIGTERM"]
        assert manager.heard.count("READY=1") == 1


def test_a_worker_is_not_ready_before_it_is_connected(server: Server, manager: ServiceManager) -> None:
    server.ask(f"alter role {WORKER} connection limit 0")
    with running(server.dsn(user=WORKER), ready="disconnected", **manager.variables(watchdog=60)) as program:
        assert "READY=1" not in manager.heard
        server.ask(f"alter role {WORKER} connection limit -1")
        program.until("listening")
        until(lambda: "READY=1" in manager.heard, "the worker is ready")


def test_a_worker_that_gets_answers_or_retries_is_alive(server: Server, manager: ServiceManager) -> None:
    with network(server.socket) as proxy:
        dsn = proxy.dsn(user=WORKER, dbname=DATABASE, connect_timeout=2)
        with running(dsn, **manager.variables(watchdog=2)) as program:
            until(lambda: manager.pings() > 3, "the idle worker is alive")
            # The server does not answer. The worker logs this, and each new attempt is a sign of life.
            proxy.black_hole()
            program.until("disconnected")
            pings = manager.pings()
            until(lambda: manager.pings() > pings, "the worker tries again")
            freeze(program.pid)
            pings = manager.hear_all().count("WATCHDOG=1")
            proxy.heal()
            assert manager.hear_all().count("WATCHDOG=1") == pings
            thaw(program.pid)
            program.until("reconnected")
            until(lambda: manager.pings() > pings, "the worker is alive again")


def test_the_unit_file_is_valid(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("NOT TESTED: verifying the unit needs systemd-analyze")
    # systemd-analyze requires that the program of the unit exists.
    text = UNIT.read_text().replace("/opt/gaq-listen/bin/gaq-listen", "/bin/true")
    unit = tmp_path / UNIT.name
    unit.write_text(text)
    answer = subprocess.run([analyze, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, "")

"""Run a worker in a network that a test can disconnect: ``python -m tests.faults.network_namespace SOCKET PROGRAM…``.

To be started in a network name space (``unshare --net``). Its loopback carries everything between the worker and a
proxy to the server's socket; SIGUSR1 takes it down, and nothing is acknowledged any more; SIGUSR2 puts it up again.
In GAQ_LISTEN_DSN the port is filled in.
"""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.program import PROGRAM
from tests.faults.proxy import network
from tests.faults.server import DATABASE, WORKER, Server

SIOCSIFFLAGS, IFF_UP = 0x8914, 1
DOWN, UP = signal.SIGUSR1, signal.SIGUSR2
"""What takes the cable away, and what puts it back."""
DSN = f"host=127.0.0.1 port=PORT user={WORKER} dbname={DATABASE} sslmode=disable connect_timeout=2"


def command(server: Server) -> tuple[str, ...]:
    """What starts a worker there, which reaches this server.

    Raises:
        pytest.skip.Exception: it may have no network of its own here.
    """
    # Root needs no further name space for that.
    unshare = [shutil.which("unshare") or "", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net"]
    if not unshare[0] or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("NOT TESTED: to pull a cable takes a network name space (unshare --net)")
    return (*unshare, sys.executable, "-m", "tests.faults.network_namespace", str(server.socket), PROGRAM, "run")


def set_loopback(up: bool) -> None:
    """Of this name space."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP if up else 0))


def main() -> int:
    """Runs the program; returns its exit code."""
    set_loopback(True)
    with network(Path(sys.argv[1])) as proxy:
        environment = dict(os.environ)
        environment["GAQ_LISTEN_DSN"] = environment["GAQ_LISTEN_DSN"].replace("PORT", str(proxy.port))
        worker = subprocess.Popen(sys.argv[2:], env=environment)
        signal.signal(DOWN, lambda number, frame: set_loopback(False))
        signal.signal(UP, lambda number, frame: set_loopback(True))
        signal.signal(signal.SIGTERM, lambda number, frame: worker.terminate())
        return worker.wait()


if __name__ == "__main__":
    sys.exit(main())

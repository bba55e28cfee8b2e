"""Run a worker in a network that a test can disconnect: ``python -m tests.faults.network_namespace SOCKET PROGRAM…``.

This module runs in a network name space of its own (``unshare --net``). It starts a proxy to the server's socket, and
a worker that connects to the proxy over the loopback interface. SIGUSR1 takes the interface down, so that no packet is
acknowledged any more. SIGUSR2 puts it up again. The module puts the port of the proxy into GAQ_LISTEN_DSN.
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
"""The signals that disconnect the network and connect it again."""
DSN = f"host=127.0.0.1 port=PORT user={WORKER} dbname={DATABASE} sslmode=disable connect_timeout=2"


def command(server: Server) -> tuple[str, ...]:
    """Return the command that starts a worker in a network name space, with a proxy to this server.

    Raises:
        pytest.skip.Exception: this machine does not allow network name spaces.
    """
    # Only root may create a network name space without a user name space.
    unshare = [shutil.which("unshare") or "", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net"]
    if not unshare[0] or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("NOT TESTED: disconnecting the network needs a network name space (unshare --net)")
    return (*unshare, sys.executable, "-m", "tests.faults.network_namespace", str(server.socket), PROGRAM, "run")


def set_loopback(up: bool) -> None:
    """Switch the loopback interface of this name space up or down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP if up else 0))


def main() -> int:
    """Run the worker until it ends, and return its exit code."""
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

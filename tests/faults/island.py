"""A worker in a network of its own, whose only cable can be pulled: ``python -m tests.faults.island SOCKET PROGRAM…``.

To be started in a network name space (``unshare --net``). Its loopback carries everything between the worker and a
proxy to the server's socket; SIGUSR1 takes it down, and nothing is acknowledged any more; SIGUSR2 puts it up again.
In GAQ_LISTEN_DSN the port is filled in.
"""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from tests.faults.proxy import network

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


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
        signal.signal(signal.SIGUSR1, lambda number, frame: set_loopback(False))
        signal.signal(signal.SIGUSR2, lambda number, frame: set_loopback(True))
        signal.signal(signal.SIGTERM, lambda number, frame: worker.terminate())
        return worker.wait()


if __name__ == "__main__":
    sys.exit(main())

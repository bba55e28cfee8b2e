"""The cable is pulled: nothing is acknowledged any more, and nobody says that the connection has ended."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.faults.program import PROGRAM, running
from tests.faults.server import DATABASE, WORKER, Server
from tests.faults.verdict import all_is_well
from tests.faults.writing import writing

# The kernel's means alone: the worker itself would ask only after a minute.
DSN = f"host=127.0.0.1 port=PORT user={WORKER} dbname={DATABASE} sslmode=disable connect_timeout=2"
KERNEL = "tcp_user_timeout=1000 keepalives_idle=1 keepalives_interval=1 keepalives_count=2"
NOTICED = 8.0


def island() -> list[str]:
    """The command that starts programs in a network of their own; root needs no further name space for that."""
    unshare = shutil.which("unshare")
    command = [unshare or "", "--net"] if os.geteuid() == 0 else [unshare or "", "--user", "--map-root-user", "--net"]
    if unshare is None or subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("NOT TESTED: to pull a cable takes a network name space (unshare --net)")
    return command


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
def test_the_kernel_notices_a_connection_that_is_half_open(server: Server, busy: bool) -> None:
    socket_path = str(server.sockets / ".s.PGSQL.5432")
    command = (*island(), sys.executable, "-m", "tests.faults.island", socket_path, PROGRAM, "run")
    with (
        running(f"{DSN} {KERNEL}", command=command, GAQ_LISTEN_HEARTBEAT="60s") as program,
        writing(server) as writers,
    ):
        program.until("batch")
        if not busy:
            writers.stop()
        began = time.monotonic()
        program.send(signal.SIGUSR1)
        program.until("disconnected")
        assert time.monotonic() - began < NOTICED, program.log
        program.send(signal.SIGUSR2)
        program.until("reconnected")
        all_is_well(server, writers, program)

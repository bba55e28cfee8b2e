"""The network is disconnected, so that the TCP connection is half open: no packet is acknowledged any more."""

import time

import pytest

from tests.faults.convergence import assert_converged
from tests.faults.network_namespace import DOWN, DSN, UP, command
from tests.faults.program import running
from tests.faults.server import Server
from tests.faults.writing import writing

# Only the kernel can notice this within seconds, because the heartbeat of the worker is a minute.
KERNEL = "tcp_user_timeout=1000 keepalives_idle=1 keepalives_interval=1 keepalives_count=2"
NOTICED = 8.0


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
def test_the_kernel_notices_a_half_open_connection(server: Server, busy: bool) -> None:
    with (
        running(f"{DSN} {KERNEL}", command=command(server), GAQ_LISTEN_HEARTBEAT="60s") as program,
        writing(server) as writers,
    ):
        program.until("batch_refreshed")
        if not busy:
            writers.stop()
        began = time.monotonic()
        program.send(DOWN)
        program.until("disconnected")
        assert time.monotonic() - began < NOTICED, program.log
        program.send(UP)
        program.until("reconnected")
        assert_converged(server, writers, program)

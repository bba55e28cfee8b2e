"""The cable is pulled: nothing is acknowledged any more, and nobody says that the connection has ended."""

import time

import pytest

from tests.faults.convergence import assert_converged
from tests.faults.network_namespace import DOWN, DSN, UP, command
from tests.faults.program import running
from tests.faults.server import Server
from tests.faults.writing import writing

# The kernel's means alone: the worker itself would ask only after a minute.
KERNEL = "tcp_user_timeout=1000 keepalives_idle=1 keepalives_interval=1 keepalives_count=2"
NOTICED = 8.0


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
def test_the_kernel_notices_a_connection_that_is_half_open(server: Server, busy: bool) -> None:
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

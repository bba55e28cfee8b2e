"""The mishaps of a storm. Each function causes one fault, lets the fault last, and undoes it before it returns.

A function that needs a tool which this machine does not have raises ``pytest.skip.Exception`` and does nothing.
"""

from collections.abc import Callable

from tests.faults.fault_environment import FaultEnvironment
from tests.faults.mishaps import (
    clock_mishaps,
    network_mishaps,
    refusal_mishaps,
    resource_mishaps,
    server_mishaps,
    worker_mishaps,
)

MISHAPS: dict[str, Callable[[FaultEnvironment], None]] = {
    name.replace("_", " "): mishap
    for module in (worker_mishaps, server_mishaps, network_mishaps, refusal_mishaps, resource_mishaps, clock_mishaps)
    for name, mishap in vars(module).items()
    if callable(mishap) and getattr(mishap, "__module__", "") == module.__name__ and not name.startswith("_")
}
"""The functions by name: the name of ``disk_full`` is ``disk full``."""

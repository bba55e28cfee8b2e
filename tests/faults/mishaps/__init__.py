"""What a storm is made of: each mishap happens, lasts as long as it does, and is undone when the function returns.

One that takes what is not to be had on this machine raises ``pytest.skip.Exception`` and has done nothing.
"""

from collections.abc import Callable

from tests.faults.fault_environment import Site
from tests.faults.mishaps import (
    clock_mishaps,
    network_mishaps,
    refusal_mishaps,
    resource_mishaps,
    server_mishaps,
    worker_mishaps,
)

MISHAPS: dict[str, Callable[[Site], None]] = {
    name.replace("_", " "): mishap
    for module in (worker_mishaps, server_mishaps, network_mishaps, refusal_mishaps, resource_mishaps, clock_mishaps)
    for name, mishap in vars(module).items()
    if callable(mishap) and getattr(mishap, "__module__", "") == module.__name__ and not name.startswith("_")
}
"""By name."""

"""What a storm is made of: each mishap happens, lasts as long as it does, and is undone when the function returns.

One that takes what is not to be had on this machine raises ``pytest.skip.Exception`` and has done nothing.
"""

from collections.abc import Callable

from tests.faults.mishaps import clocks, network, refusals, resources, server, workers
from tests.faults.site import Site

MISHAPS: dict[str, Callable[[Site], None]] = {
    name.replace("_", " "): mishap
    for module in (workers, server, network, refusals, resources, clocks)
    for name, mishap in vars(module).items()
    if callable(mishap) and getattr(mishap, "__module__", "") == module.__name__ and not name.startswith("_")
}
"""By name."""

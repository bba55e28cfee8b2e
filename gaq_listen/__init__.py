"""Keep stored GAQ summaries fresh, within milliseconds of the commit that changed their data.

The names in ``__all__`` are the Python interface for applications: see docs/python.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from gaq_listen.api import BackgroundWorker, ElementaryPeriod, LiveSummary, live_summaries, periods, refreshes
    from gaq_listen.errors import DatabaseUnreachable, GaqListenError, NotInstalled
    from gaq_listen.settings import WorkerSettings
    from gaq_listen.worker import events as events

__all__ = [
    "BackgroundWorker",
    "DatabaseUnreachable",
    "ElementaryPeriod",
    "GaqListenError",
    "LiveSummary",
    "NotInstalled",
    "WorkerSettings",
    "__version__",
    "events",
    "live_summaries",
    "periods",
    "refreshes",
]

_HOMES = ("api", "errors", "settings")
"""The modules that define the names of the interface."""


def __getattr__(name: str) -> Any:
    """Import a name of the interface at its first use, so that a program without a worker does not load the worker."""
    if name == "events":
        return import_module("gaq_listen.worker.events")
    if name in __all__:
        for home in map(import_module, (f"gaq_listen.{home}" for home in _HOMES)):
            if hasattr(home, name):
                return getattr(home, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

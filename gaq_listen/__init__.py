"""gaq-listen keeps stored GAQ summaries fresh, within milliseconds of the commit that changed them.

The names below are the Python interface for applications: see docs/python.md.
"""

__version__ = "0.1.0"

# (After the version, which modules of ours import from here.)
from gaq_listen import events as events
from gaq_listen.api import (
    BackgroundWorker,
    ElementaryPeriod,
    LiveSummary,
    live_summaries,
    periods,
    refreshes,
)
from gaq_listen.errors import DatabaseUnreachable, GaqListenError, NotInstalled
from gaq_listen.settings import WorkerSettings

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

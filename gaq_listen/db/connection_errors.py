"""Classify a libpq connection error: wait, give up, or unknown. Pure.

libpq returns no SQLSTATE for a failed connection, only a message. A message in another language than English, or with
words that this module does not know, is unknown.
"""

import re
from enum import Enum


class Outlook(Enum):
    """Say what to expect after a failed connection."""

    WAIT = "the server runs, and will accept connections by itself"
    GIVE_UP = "the server refuses until somebody changes a role, a password or the database"
    OTHER = "unknown"


_WAIT = re.compile(
    "the database system is (starting up|shutting down|not (yet )?accepting connections|in recovery mode)"
    "|too many clients already|remaining connection slots are reserved|too many connections for"
)
_GIVE_UP = re.compile(
    r'authentication failed|no password supplied|role ".*" (does not exist|is not permitted to log in)'
    r'|database ".*" does not exist'
)


def classify(message: str) -> Outlook:
    """Classify a message of libpq. It may be about several hosts: one that is worth waiting for is enough.

    >>> classify('connection to server on socket "…" failed: FATAL:  the database system is starting up').name
    'WAIT'
    """
    if _WAIT.search(message):
        return Outlook.WAIT
    return Outlook.GIVE_UP if _GIVE_UP.search(message) else Outlook.OTHER

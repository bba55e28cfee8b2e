"""Classify a libpq connection error: wait, give up, or unknown. Pure.

libpq returns no SQLSTATE for a connection that failed, only a message. A message in another language than English, or
with words that are unknown here, is classified as unknown.
"""

import re
from enum import Enum


class Outlook(Enum):
    """What to do about a failed connection."""

    WAIT = "the server is there, and will take connections by itself"
    GIVE_UP = "the server will refuse until somebody changes something"
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
    """Classify a message of libpq. The message may be about several hosts: one that is worth waiting for is enough.

    >>> refusal('connection to server on socket "…" failed: FATAL:  the database system is starting up')
    <Refusal.WAIT: 'the server is there, and will take connections by itself'>
    """
    if _WAIT.search(message):
        return Outlook.WAIT
    return Outlook.GIVE_UP if _GIVE_UP.search(message) else Outlook.OTHER

"""Why a server takes no connection: is it worth to wait? Pure.

libpq hands over no SQLSTATE of a connection that failed, only words; in another language than English, or in words
unknown here, a refusal is one like any other.
"""

import re
from enum import Enum


class Refusal(Enum):
    """What to do about it."""

    WAIT = "it is there, and will take connections by itself"
    GIVE_UP = "it will take none until somebody changes something"
    OTHER = "nobody knows"


_WAIT = re.compile(
    "the database system is (starting up|shutting down|not (yet )?accepting connections|in recovery mode)"
    "|too many clients already|remaining connection slots are reserved|too many connections for"
)
_GIVE_UP = re.compile(
    r'authentication failed|no password supplied|role ".*" (does not exist|is not permitted to log in)'
    r'|database ".*" does not exist'
)


def refusal(message: str) -> Refusal:
    """Judges a message of libpq, which may be about several hosts: one that is worth waiting for is enough.

    >>> refusal('connection to server on socket "…" failed: FATAL:  the database system is starting up')
    <Refusal.WAIT: 'it is there, and will take connections by itself'>
    """
    if _WAIT.search(message):
        return Refusal.WAIT
    return Refusal.GIVE_UP if _GIVE_UP.search(message) else Refusal.OTHER

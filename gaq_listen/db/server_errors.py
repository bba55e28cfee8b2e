"""Classify an error of the server: does trying again heal it, and what should the operator do about it? Pure."""

import re

import psycopg

_LASTING = frozenset({"0A", "21", "22", "23", "3F", "42", "P0"})
"""Classes of SQLSTATE that say that the database is not as it should be: something is missing, or has another type."""

_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "53300"})
"""Further states of a server that ends a session, or takes none: a shutdown, a crash, too many clients."""

_MISSING = "an object of gaq-listen, or of the source tables, is missing or altered; see: gaq-listen doctor"
_REPAIR = f"{_MISSING}; gaq-listen install puts back what is gaq-listen's"
_VALUES = "a value or a type is not what gaq-listen expects; see: gaq-listen doctor"
_RIGHT = "a right is missing; gaq-listen doctor, run as a superuser, names it"
_LOCKED = "another session holds the lock for long; gaq-listen doctor and pg_locks name it"


def is_lasting(error: BaseException | None) -> bool:
    """Return whether the error stays until somebody changes the database. A lost connection does not."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in _LASTING


def is_lost(error: BaseException) -> bool:
    """Return whether there is no connection, or none any more; else a server is there, and has answered."""
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return error.sqlstate[:2] in ("08", "28", "3D") or error.sqlstate in _LOST
    return isinstance(error, psycopg.OperationalError | TimeoutError)


def sentence(error: BaseException) -> str:
    """Return the first line of an error of PostgreSQL or libpq, without its context.

    If libpq tried several hosts, the sentence has what each of them said: the last need not be the one that matters.
    """
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    text = str(error)
    said = re.findall(r"^- .*?': (.*)$", text, re.MULTILINE) or text.strip().splitlines()[:1]
    bare = (words.removeprefix("connection failed: ").removeprefix("connection is bad: ") for words in said)
    return "; ".join(dict.fromkeys(bare)) or type(error).__name__


def explain(error: BaseException) -> str:
    """Return what the server said, with its detail, and what to do about it.

    That is the error's note, if it has one; else what is known of its SQLSTATE. If an object is missing, the server's
    own hint comes last, because it is meant for the author of a query.
    """
    detail, theirs = (
        (error.diag.message_detail, error.diag.message_hint) if isinstance(error, psycopg.Error) else (None, None)
    )
    notes = "; ".join(getattr(error, "__notes__", ()))
    hint = notes or (theirs if _is_ours(error) else None) or _advice(error) or theirs
    return sentence(error) + (f": {detail}" if detail else "") + (f" ({hint})" if hint else "")


def _is_ours(error: BaseException) -> bool:
    """Return whether the hint is one of a function of ours, or speaks of something else than the text of a query."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] not in ("42", "3F", "0A")


def _advice(error: BaseException) -> str | None:
    state = (error.sqlstate or "") if isinstance(error, psycopg.Error) else ""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return _RIGHT
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return _LOCKED
    if state[:2] in ("42", "3F", "0A"):
        return _REPAIR
    return _VALUES if state[:2] in ("21", "22") else None

"""Classify an error of the server: whether trying again helps, and what the operator should do. Pure."""

import re

import psycopg

_LASTING = frozenset({"0A", "21", "22", "23", "3F", "42", "P0"})
"""Classes of SQLSTATE that mean that an object is missing, or that a type or a value is wrong."""

_LOST = frozenset({"57P01", "57P02", "57P03", "57P05", "53300"})
"""SQLSTATEs of a server that ends a session or accepts none: a shutdown, a crash, too many clients."""

_MISSING = "an object of gaq-listen, or of the source tables, is missing or altered; see: gaq-listen doctor"
_INSTALL = f"{_MISSING}; gaq-listen install puts back what is gaq-listen's"
_WRONG_TYPE = "a value or a type is not what gaq-listen expects; see: gaq-listen doctor"
_MISSING_RIGHT = "a right is missing; gaq-listen doctor, run as a superuser, names it"
_LOCKED = "another session holds the lock for long; gaq-listen doctor and pg_locks name it"


def is_lasting(error: BaseException | None) -> bool:
    """Return whether the error stays until somebody changes the database."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] in _LASTING


def is_lost(error: BaseException) -> bool:
    """Return whether the connection is lost or was never made. False: a server has answered."""
    if isinstance(error, psycopg.Error) and error.sqlstate:
        return error.sqlstate[:2] in ("08", "28", "3D") or error.sqlstate in _LOST
    return isinstance(error, psycopg.OperationalError | TimeoutError)


def sentence(error: BaseException) -> str:
    """Return the first line of an error of PostgreSQL or libpq, without its context.

    If libpq tried several hosts, the sentence has the error of each.
    """
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    text = str(error)
    messages = re.findall(r"^- .*?': (.*)$", text, re.MULTILINE) or text.strip().splitlines()[:1]
    bare = (message.removeprefix("connection failed: ").removeprefix("connection is bad: ") for message in messages)
    return "; ".join(dict.fromkeys(bare)) or type(error).__name__


def explain(error: BaseException) -> str:
    """Return the message of an error with its detail and, in parentheses, what to do about it.

    The advice is the note of the error if it has one. Then come a hint of one of our functions, the advice for the
    SQLSTATE, and a hint of the server itself, which is meant for the author of a query.
    """
    detail, hint = (
        (error.diag.message_detail, error.diag.message_hint) if isinstance(error, psycopg.Error) else (None, None)
    )
    notes = "; ".join(getattr(error, "__notes__", ()))
    advice = notes or (hint if _hint_is_ours(error) else None) or _advice(error) or hint
    return sentence(error) + (f": {detail}" if detail else "") + (f" ({advice})" if advice else "")


def _hint_is_ours(error: BaseException) -> bool:
    """Return whether the hint of an error may come from a function of ours, and is not about the text of a query."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "")[:2] not in ("42", "3F", "0A")


def _advice(error: BaseException) -> str | None:
    """Return what the operator should do about an error with this SQLSTATE."""
    state = (error.sqlstate or "") if isinstance(error, psycopg.Error) else ""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return _MISSING_RIGHT
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return _LOCKED
    if state[:2] in ("42", "3F", "0A"):
        return _INSTALL
    return _WRONG_TYPE if state[:2] in ("21", "22") else None

"""Define one exception for each kind of failure. Its message is a sentence that a person can act on."""


class GaqListenError(Exception):
    """Base of all errors that gaq-listen raises itself. A command that fails with one ends with its ``exit_code``."""

    exit_code = 1


class PrivateServerError(GaqListenError):
    """The private, temporary PostgreSQL could not be found or started."""


class DatabaseUnreachable(GaqListenError):
    """No connection to the database could be made."""

    exit_code = 3


class NotInstalled(GaqListenError):
    """The database has no schema ``gaq``, or not the one this program needs."""


class DoorbellRequired(GaqListenError):
    """The settings demand notifications, and notifications do not arrive."""


class UnknownName(GaqListenError):
    """No data pass, run, script or sources file has the name that was given."""

    exit_code = 2


class BadSetting(GaqListenError):
    """A setting has a value that makes no sense, alone or beside another."""

    exit_code = 2

"""Define one exception for each kind of failure. Its message is a sentence that a person can act on."""


class GaqListenError(Exception):
    """Report a failure of gaq-listen. All its errors derive from this one. A command ends with its ``exit_code``."""

    exit_code = 1


class PrivateServerError(GaqListenError):
    """Report that the private, temporary PostgreSQL could not be found or started."""


class DatabaseUnreachable(GaqListenError):
    """Report that no connection to the database could be made."""

    exit_code = 3


class NotInstalled(GaqListenError):
    """Report that the database has no schema ``gaq``, or another version of it than this program needs."""


class DoorbellRequired(GaqListenError):
    """Report that the settings require notifications, and notifications do not arrive."""


class UnknownName(GaqListenError):
    """Report that no data pass, run, script or sources file has the given name."""

    exit_code = 2


class BadSetting(GaqListenError):
    """Report a setting whose value makes no sense, alone or with the value of another."""

    exit_code = 2

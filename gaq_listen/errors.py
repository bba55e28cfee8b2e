"""One exception a kind of trouble; what it says is a sentence a person can act on."""


class GaqListenError(Exception):
    """Anything gaq-listen refuses or cannot do; ``exit_code`` is what the command ends with."""

    exit_code = 1


class PrivateServerError(GaqListenError):
    """The private throw-away PostgreSQL could not be found or started."""


class DatabaseUnreachable(GaqListenError):
    """No connection to the database could be made."""

    exit_code = 3


class NotInstalled(GaqListenError):
    """The database has no schema ``gaq``, or not the one this program needs."""


class DoorbellRequired(GaqListenError):
    """A worker that must listen is where it cannot."""


class UnknownName(GaqListenError):
    """A data pass, run or script that was named does not exist."""

    exit_code = 2


class BadSetting(GaqListenError):
    """A setting has a value that makes no sense, alone or beside another."""

    exit_code = 2

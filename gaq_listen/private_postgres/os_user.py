"""The account that runs a private server: PostgreSQL refuses to run as root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from gaq_listen.errors import PrivateServerError


class Identity(TypedDict):
    """What ``subprocess`` takes to start a program as somebody else; None leaves it alone."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True, slots=True)
class OsUser:
    """A user and its group, or ourselves when the ids are None."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def identity(self) -> Identity:
        """The arguments that make ``subprocess`` start a program as this account."""
        no_more = None if self.uid is None else list[int]()
        return {"user": self.uid, "group": self.gid, "extra_groups": no_more}

    def take(self, path: Path) -> None:
        """Make this account the owner of a path and of everything below it."""
        if self.uid is None or self.gid is None:
            return
        os.chown(path, self.uid, self.gid)
        for parent, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.chown(Path(parent, name), self.uid, self.gid, follow_symlinks=False)

    def reaches(self, directory: Path) -> bool:
        """Whether this account may pass through a directory on its way to one of its own."""
        return self.uid is None or all(place.stat().st_mode & 0o001 for place in (directory, *directory.parents))


def server_user() -> OsUser:
    """Ourselves; for root the user ``postgres`` or else ``nobody``.

    Raises:
        PrivateServerError: we are root and there is neither.
    """
    if os.geteuid() != 0:
        return OsUser(f"the user with id {os.geteuid()}")
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return OsUser(f"the user {name}", entry.pw_uid, entry.pw_gid)
    raise PrivateServerError(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody"
        " to run it as: try as a plain user"
    )

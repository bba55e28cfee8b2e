"""Choose the OS user that runs a private server, because PostgreSQL refuses to run as root."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from gaq_listen.errors import PrivateServerError


class Identity(TypedDict):
    """The arguments by which ``subprocess`` starts a program as another user. None keeps the current user or group."""

    user: int | None
    group: int | None
    extra_groups: list[int] | None


@dataclass(frozen=True, slots=True)
class OsUser:
    """A user and its group. The ids are None for the user of this process."""

    name: str
    uid: int | None = None
    gid: int | None = None

    def identity(self) -> Identity:
        """Return the arguments by which ``subprocess`` starts a program as this user, in no further groups."""
        further_groups = None if self.uid is None else list[int]()
        return {"user": self.uid, "group": self.gid, "extra_groups": further_groups}

    def take(self, path: Path) -> None:
        """Make this user the owner of a path and of everything below it."""
        if self.uid is None or self.gid is None:
            return
        os.chown(path, self.uid, self.gid)
        for parent, directories, files in os.walk(path):
            for name in (*directories, *files):
                os.chown(Path(parent, name), self.uid, self.gid, follow_symlinks=False)

    def reaches(self, directory: Path) -> bool:
        """Return whether this user may pass through a directory and all directories above it."""
        return self.uid is None or all(place.stat().st_mode & 0o001 for place in (directory, *directory.parents))


def server_user() -> OsUser:
    """Return the user of this process. For root, return the user ``postgres``, or ``nobody`` if it does not exist.

    Raises:
        PrivateServerError: This process runs as root, and neither user exists.
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
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody:"
        " run the command as a plain user"
    )

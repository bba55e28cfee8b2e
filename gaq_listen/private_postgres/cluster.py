"""Create the directories of a private cluster, and build the commands that create and run its server."""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from gaq_listen.private_postgres.os_user import OsUser

PORT = 5432
"""Port number in the name of the socket. The server listens on no TCP port."""
PREFIX = "gaq-listen-"
"""Beginning of the name of each directory of a private server."""
SOCKETS = "s"
"""Name of the socket's directory: short, because the length of its path is limited."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux mounts it
ENOUGH_SHARED_MEMORY = 512 * 1024**2
# The path of a socket has at most 107 bytes on Linux and 103 on macOS.
LONGEST_SOCKET_PATH = 103

# The data need not survive a crash of the machine. Dynamic shared memory is a file in the data directory, so removing
# the directory also frees the memory of a server that was killed.
TEMPORARY_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def temp_base(user: OsUser) -> Path:
    """Return the temporary directory, or ``/tmp`` if its path is too long for a socket or ``user`` cannot enter it."""
    base = Path(tempfile.gettempdir())
    socket_path = base / f"{PREFIX}12345678" / SOCKETS / f".s.PGSQL.{PORT}"
    if len(os.fsencode(socket_path)) <= LONGEST_SOCKET_PATH and user.reaches(base):
        return base
    return Path("/tmp")  # noqa: S108 - make_home creates a private directory with a random name there


def data_base(home: Path) -> Path:
    """Return the directory of shared memory if it has room for many small databases, else ``home``."""
    if not os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        return home
    state = os.statvfs(SHARED_MEMORY)
    return SHARED_MEMORY if state.f_bavail * state.f_frsize >= ENOUGH_SHARED_MEMORY else home


def make_home(base: Path) -> Path:
    """Create a directory in ``base`` to which only this process's user can write, and which everybody can pass through.

    The server's user owns directories below it. It cannot write to the directory itself, so it cannot place links there
    which root would follow.
    """
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    path.chmod(0o711)
    return path


def make_private(path: Path, user: OsUser) -> Path:
    """Create a directory which only ``user`` and root can enter."""
    path.mkdir(mode=0o700)
    user.take(path)
    return path


def remove_directory(path: Path) -> None:
    """Remove a directory with its contents, even while ending processes still write to it."""
    for _ in range(50):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.05)


def environment() -> dict[str, str]:
    """Return this process's environment without variables of PostgreSQL, and with English messages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}


def initdb_command(binaries: Path, data: Path) -> list[str]:
    """Return the command that creates the cluster, with a superuser ``postgres`` that needs no password."""
    options = "--username=postgres --auth=trust --encoding=UTF8 --no-locale --no-sync --no-instructions"
    return [str(binaries / "initdb"), f"--pgdata={data}", *options.split()]


def postgres_command(binaries: Path, data: Path, sockets: Path, settings: Mapping[str, str]) -> list[str]:
    """Return the command that runs the server, reachable only through a socket.

    ``settings`` override the settings of a temporary server.
    """
    chosen = TEMPORARY_SETTINGS | {"unix_socket_directories": str(sockets), "port": str(PORT)} | {**settings}
    options = [f"--{name}={value}" for name, value in chosen.items()]
    return [str(binaries / "postgres"), "-D", str(data), *options]


def is_ready(data: Path) -> bool:
    """Return whether the server accepts connections, according to the file that pg_ctl reads as well."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def last_lines(log: Path) -> str:
    """Return the last ten lines of a log for an error message, at most as much as a pipe takes at once."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-10:])[-4000:]

"""A private cluster's directories and the commands that create and run it."""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from gaq_listen.private_postgres.os_user import OsUser

PORT = 5432
PREFIX = "gaq-listen-"
SOCKETS = "s"
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where Linux mounts it
ENOUGH_SHARED_MEMORY = 512 * 1024**2
# The path of a socket has at most 107 bytes on Linux and 103 on macOS.
LONGEST_SOCKET_PATH = 103

# Nothing here has to survive a crash of the machine. Dynamic shared memory is kept in the data
# directory, so that it goes away with it even when the server was killed.
THROW_AWAY = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def temp_base(account: OsUser) -> Path:
    """The temp directory; ``/tmp`` when it is too deep for a socket or closed to the account."""
    base = Path(tempfile.gettempdir())
    socket_path = base / f"{PREFIX}12345678" / SOCKETS / f".s.PGSQL.{PORT}"
    if len(os.fsencode(socket_path)) <= LONGEST_SOCKET_PATH and account.reaches(base):
        return base
    return Path("/tmp")  # noqa: S108 - what is made there has a random name and is private


def data_base(home: Path) -> Path:
    """Shared memory if it has room for many small databases, otherwise ``home``."""
    if not os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        return home
    state = os.statvfs(SHARED_MEMORY)
    return SHARED_MEMORY if state.f_bavail * state.f_frsize >= ENOUGH_SHARED_MEMORY else home


def make_home(base: Path) -> Path:
    """A new directory where only we write, and the account passes through to what is its own.

    Root had better not write where somebody else can put links.
    """
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
    path.chmod(0o711)
    return path


def make_private(path: Path, account: OsUser) -> Path:
    """A new directory which nobody but the account (and root) can enter."""
    path.mkdir(mode=0o700)
    account.take(path)
    return path


def remove_directory(path: Path) -> None:
    """Remove it with all it holds, even while dying processes still write there."""
    for _ in range(50):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(0.05)


def environment() -> dict[str, str]:
    """Ours without what would direct PostgreSQL elsewhere, and with messages in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C"}


def initdb_command(binaries: Path, data: Path) -> list[str]:
    """What creates the cluster; its superuser is ``postgres`` and needs no password."""
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"]
    return [
        str(binaries / "initdb"),
        f"--pgdata={data}",
        *options,
        "--no-sync",
        "--no-instructions",
    ]


def postgres_command(binaries: Path, data: Path, sockets: Path, settings: Mapping[str, str]) -> list[str]:
    """What runs it, reachable through a socket only; ``settings`` win over our own."""
    chosen = THROW_AWAY | {"unix_socket_directories": str(sockets), "port": str(PORT)} | {**settings}
    options = [f"--{name}={value}" for name, value in chosen.items()]
    return [str(binaries / "postgres"), "-D", str(data), *options]


def is_ready(data: Path) -> bool:
    """Whether the server says that it accepts connections, in the file that pg_ctl reads too."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def last_lines(log: Path) -> str:
    """The end of a log, for an error to show: ten lines, and no more than a pipe takes at once."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-10:])[-4000:]

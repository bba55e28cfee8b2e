"""Download programs of Debian, and unpack them into the virtual environment. This needs no root."""

import fcntl
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
    """Return the directory that holds the unpacked packages, with the layout of ``/``.

    Raises:
        pytest.skip.Exception: the packages cannot be downloaded here. The message has the reason.
    """
    # Only one of several test processes downloads, and the others wait for it.
    with Path(f"{place}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / ".complete").exists():
            for program in ("apt-get", "dpkg-deb"):
                if shutil.which(program) is None:
                    pytest.skip(f"NOT TESTED: this needs {program} for Debian's {' and '.join(packages)}")
            _unpack(place, packages)
    return place


def _unpack(place: Path, packages: tuple[str, ...]) -> None:
    shutil.rmtree(place, ignore_errors=True)
    state = place / "apt"
    for directory in ("lists/partial", "cache/archives/partial"):
        (state / directory).mkdir(parents=True)
    # These directories keep apt-get from using those of the machine, which belong to root.
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
        output = getattr(error, "stderr", "") or ""
        pytest.skip(f"NOT TESTED: Debian's packages {', '.join(packages)} cannot be downloaded: {error} {output}")
    shutil.rmtree(state)
    (place / ".complete").touch()


def library(name: str) -> Path:
    """Return the path of a library of these packages."""
    [path, *_] = sorted(root().glob(f"usr/lib/**/{name}"))
    return path


def environment(place: Path | None = None) -> dict[str, str]:
    """Return environment variables with which the programs find their libraries."""
    places = {str(path.parent) for path in (place or root()).glob("usr/lib/*/*.so*")}
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(sorted(places))}

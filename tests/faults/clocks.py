"""Clocks that can be set, of a server or of a worker's host: programs see what Debian's libfaketime tells them."""

from contextlib import suppress
from pathlib import Path

from tests.support import debian_packages

HOUR = 3600.0
SHARED = Path("/dev/shm")
"""Where libfaketime has what the processes of a program share."""


class Clock:
    """What programs started with ``variables`` take for the time of day; set in seconds from the true one.

    Raises:
        pytest.skip.Exception: libfaketime is not to be had.
    """

    def __init__(self, directory: Path) -> None:
        library = directory / "libfaketime.so.1"
        library.write_bytes(debian_packages.library(library.name).read_bytes())
        library.chmod(0o755)
        self._now = directory / "clock"
        self.variables = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._now),
            "FAKETIME_NO_CACHE": "1",
            # As in the real world: only the time of day is set.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: float) -> None:
        """Who looks from now on sees the new time."""
        # Replaced as a whole: who reads it never sees half of it.
        new = self._now.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}s\n")
        new.chmod(0o644)
        new.replace(self._now)

    def launcher(self, command: list[str]) -> list[str]:
        """The command that runs a server by this clock."""
        return ["env", *(f"{name}={value}" for name, value in self.variables.items()), *command]


def forget_the_killed() -> None:
    """Removes what libfaketime leaves behind of programs that were killed, named by processes that are gone."""
    for left in SHARED.glob("*faketime_s?m_*"):
        if not Path("/proc", left.name.rpartition("_")[2]).exists():
            with suppress(OSError):
                left.unlink()

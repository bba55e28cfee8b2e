"""Clocks that can be set, of a server or of a worker's host: programs see what Debian's libfaketime tells them."""

from pathlib import Path

from tests.faults import debian

HOUR = 3600.0


class Clock:
    """What programs started with ``variables`` take for the time of day; set in seconds from the true one.

    Raises:
        pytest.skip.Exception: libfaketime is not to be had.
    """

    def __init__(self, directory: Path) -> None:
        library = directory / "libfaketime.so.1"
        library.write_bytes(debian.library(library.name).read_bytes())
        library.chmod(0o755)
        self._now = directory / "clock"
        self.variables = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._now),
            "FAKETIME_NO_CACHE": "1",
            # As in the real world: only the time of day is set.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DISABLE_SHM": "1",
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

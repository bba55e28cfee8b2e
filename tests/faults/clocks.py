"""Give programs a clock that a test can set, with libfaketime of Debian."""

from contextlib import suppress
from pathlib import Path

from tests.support import debian_packages

HOUR = 3600.0
SHARED = Path("/dev/shm")
"""The directory of the shared memory of libfaketime."""


class Clock:
    """The time of day that programs see which are started with ``variables``.

    Raises:
        pytest.skip.Exception: libfaketime cannot be downloaded.
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
            # An operator sets only the time of day. The monotonic clock goes on.
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        self.set(0)

    def set(self, seconds: float) -> None:
        """Set the clock to the true time plus ``seconds``, also for programs that run already."""
        # The file is replaced as a whole, so no program reads half of a time.
        new = self._now.with_suffix(".new")
        new.write_text(f"{seconds:+.0f}s\n")
        new.chmod(0o644)
        new.replace(self._now)

    def launcher(self, command: list[str]) -> list[str]:
        """Return the command that runs a server with this clock."""
        return ["env", *(f"{name}={value}" for name, value in self.variables.items()), *command]


def forget_the_killed() -> None:
    """Remove the shared memory that libfaketime leaves behind when its program is killed."""
    for left in SHARED.glob("*faketime_s?m_*"):
        if not Path("/proc", left.name.rpartition("_")[2]).exists():
            with suppress(OSError):
                left.unlink()

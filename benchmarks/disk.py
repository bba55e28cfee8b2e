"""Find the file system of a directory, and whether a commit there waits for a disk."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")
"""The octal code of a blank, a tab, a line end or a backslash in a mount point of that file."""
_MEMORY = {"tmpfs", "ramfs", "devtmpfs", "rootfs", "hugetlbfs"}
"""File systems that keep files in memory."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A mounted file system: its type, such as ext4, and its device, such as /dev/sda1."""

    kind: str
    device: str

    @property
    def in_memory(self) -> bool:
        """Return whether the file system keeps its files in memory only."""
        return self.kind in _MEMORY

    def __str__(self) -> str:
        return f"{self.kind} on {self.device}"


class NotADisk(ValueError):
    """The directory is not on a disk. The message says why."""


def file_system(directory: Path, mounts: str) -> FileSystem | None:
    """Return the file system of a directory by the lines of ``/proc/self/mountinfo``, or None if no line fits."""
    found, longest = None, -1
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), left.split()[4])
        # A later mount at the same point hides the earlier one.
        if directory.is_relative_to(point) and len(point) >= longest:
            kind, device = right.split()[:2]
            found, longest = FileSystem(kind, device), len(point)
    return found


def where(directory: Path) -> FileSystem | None:
    """Return the file system of a directory of this machine, or None if the operating system does not say."""
    return file_system(directory.resolve(), _MOUNTS.read_text(encoding="utf-8")) if _MOUNTS.exists() else None


def require_disk(directory: Path) -> FileSystem:
    """Return the file system of a directory that is on a disk.

    Raises:
        NotADisk: the directory is in memory, missing or not writable, or the operating system does not say.
    """
    if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
        raise NotADisk(f"{directory} is not a writable directory: name one on the disk to measure, such as /var/tmp")
    found = where(directory)
    if found is None:
        raise NotADisk(
            f"this system does not say which file system {directory} is on: measure in memory, without --disk"
        )
    if found.in_memory:
        raise NotADisk(f"{directory} is in memory ({found}): name a directory on a disk, such as /var/tmp")
    return found

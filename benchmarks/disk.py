"""Which file system a directory is on, and whether a commit there waits for a disk."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")
"""How a blank, a tab, a line end or a backslash of a mount point is written there."""
_MEMORY = {"tmpfs", "ramfs", "devtmpfs", "rootfs", "hugetlbfs"}
"""File systems that keep files in memory."""


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A mounted file system: its type, such as ext4, and what it is on, such as /dev/sda1."""

    kind: str
    device: str

    @property
    def in_memory(self) -> bool:
        """Return whether files on it are in memory only."""
        return self.kind in _MEMORY

    def __str__(self) -> str:
        return f"{self.kind} on {self.device}"


class NotADisk(ValueError):
    """The directory cannot stand for a disk; the message says why."""


def file_system(directory: Path, mounts: str) -> FileSystem | None:
    """Return the file system that a directory is on, by the lines of ``/proc/self/mountinfo``; None: it is not told."""
    found, longest = None, -1
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), left.split()[4])
        # A later line for the same place covers the earlier one.
        if directory.is_relative_to(point) and len(point) >= longest:
            kind, device = right.split()[:2]
            found, longest = FileSystem(kind, device), len(point)
    return found


def where(directory: Path) -> FileSystem | None:
    """Return the file system that a directory of this machine is on; None: the system does not tell."""
    return file_system(directory.resolve(), _MOUNTS.read_text(encoding="utf-8")) if _MOUNTS.exists() else None


def require_disk(directory: Path) -> FileSystem:
    """Return the file system of a directory that is on a disk.

    Raises:
        NotADisk: it is in memory, it is not there or not writable, or the system does not tell.
    """
    if not directory.is_dir() or not os.access(directory, os.W_OK | os.X_OK):
        raise NotADisk(f"{directory} is no directory to write to: name one on the disk to measure, such as /var/tmp")
    found = where(directory)
    if found is None:
        raise NotADisk(f"this system does not tell what {directory} is on: measure in memory, without --disk")
    if found.in_memory:
        raise NotADisk(f"{directory} is in memory ({found}): name a directory on a disk, such as /var/tmp")
    return found

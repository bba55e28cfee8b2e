"""A benchmark recognizes whether a directory is on a disk or in memory."""

from pathlib import Path

import pytest

from benchmarks.disk import FileSystem, NotADisk, file_system, require_disk

MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
26 22 0:24 / /dev/shm rw,nosuid shared:4 - tmpfs tmpfs rw
31 22 0:28 / /tmp rw shared:9 - ext4 /dev/vda2 rw
32 31 0:29 / /tmp rw shared:10 - tmpfs tmpfs rw
40 22 254:16 / /srv/my\\040dïsk rw shared:11 - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("/var/tmp", FileSystem("ext4", "/dev/vda1")),
        ("/dev/shm", FileSystem("tmpfs", "tmpfs")),
        ("/dev/shm/deeper", FileSystem("tmpfs", "tmpfs")),
        ("/dev/shmother", FileSystem("ext4", "/dev/vda1")),
        ("/tmp/x", FileSystem("tmpfs", "tmpfs")),
        ("/srv/my dïsk/data", FileSystem("xfs", "/dev/vdb")),
    ],
)
def test_directory_is_on_the_innermost_and_last_mount(directory: str, expected: FileSystem) -> None:
    assert file_system(Path(directory), MOUNTS) == expected


def test_file_system_in_memory_is_not_a_disk() -> None:
    assert FileSystem("tmpfs", "tmpfs").in_memory
    assert not FileSystem("ext4", "/dev/vda1").in_memory
    if Path("/dev/shm").is_dir():
        with pytest.raises(NotADisk, match="in memory"):
            require_disk(Path("/dev/shm"))


def test_missing_directory_is_refused_with_an_example(tmp_path: Path) -> None:
    with pytest.raises(NotADisk, match=r"name one on the disk to measure, such as /var/tmp"):
        require_disk(tmp_path / "missing")

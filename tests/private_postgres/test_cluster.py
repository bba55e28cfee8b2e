"""Test the directories of a private cluster, and the commands that create and run it."""

import os
import tempfile
from pathlib import Path

import pytest

from gaq_listen.private_postgres import cluster
from gaq_listen.private_postgres.os_user import OsUser

THIS_USER = OsUser("this user")
OTHER_USER = OsUser("other user", 12345, 12345)


@pytest.fixture
def temp_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(cluster, "LONGEST_SOCKET_PATH", len(os.fsencode(tmp_path)) + 100)
    return tmp_path


def test_temp_directory_is_used_for_the_socket(temp_directory: Path) -> None:
    assert cluster.temp_base(THIS_USER) == temp_directory


def test_temp_directory_too_deep_for_a_socket_is_not_used(
    temp_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longest = temp_directory / "gaq-listen-12345678" / "s" / ".s.PGSQL.5432"
    monkeypatch.setattr(cluster, "LONGEST_SOCKET_PATH", len(os.fsencode(longest)))
    assert cluster.temp_base(THIS_USER) == temp_directory
    monkeypatch.setattr(cluster, "LONGEST_SOCKET_PATH", len(os.fsencode(longest)) - 1)
    assert cluster.temp_base(THIS_USER) == Path("/tmp")


def test_temp_directory_closed_to_the_user_is_not_used(temp_directory: Path) -> None:
    temp_directory.chmod(0o700)
    assert cluster.temp_base(THIS_USER) == temp_directory
    assert cluster.temp_base(OTHER_USER) == Path("/tmp")


def test_created_directory_has_the_expected_name_length(tmp_path: Path) -> None:
    home = cluster.make_home(tmp_path)
    assert len(home.name) == len("gaq-listen-12345678")


def test_data_is_in_shared_memory_only_if_it_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "SHARED_MEMORY", tmp_path)
    monkeypatch.setattr(cluster, "ENOUGH_SHARED_MEMORY", 1)
    assert cluster.data_base(Path("/home")) == tmp_path
    monkeypatch.setattr(cluster, "ENOUGH_SHARED_MEMORY", 1 << 62)
    assert cluster.data_base(Path("/home")) == Path("/home")
    monkeypatch.setattr(cluster, "ENOUGH_SHARED_MEMORY", 1)
    monkeypatch.setattr(cluster, "SHARED_MEMORY", tmp_path / "missing")
    assert cluster.data_base(Path("/home")) == Path("/home")


def test_environment_has_no_variables_of_postgresql(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGDATA", "/somewhere/else")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    found = cluster.environment()
    assert "PGDATA" not in found
    assert found["LC_ALL"] == "C"
    assert found["PATH"] == os.environ["PATH"]


def test_given_settings_override_the_defaults() -> None:
    settings = {"fsync": "on", "gaq.bell": "off"}
    command = cluster.postgres_command(Path("/b"), Path("/d"), Path("/s"), settings)
    assert command[:3] == ["/b/postgres", "-D", "/d"]
    assert {"--fsync=on", "--gaq.bell=off", "--listen_addresses="} <= set(command)
    assert "--fsync=off" not in command


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        (None, False),
        ("4711\n/data\n0\n5432\n/s\n\n 1 2\n", False),
        ("4711\n/data\n0\n5432\n/s\n\n 1 2\nstarting\n", False),
        ("4711\n/data\n0\n5432\n/s\n\n 1 2\nready   \n", True),
    ],
)
def test_server_is_ready_when_its_pid_file_says_so(tmp_path: Path, text: str | None, ready: bool) -> None:
    if text is not None:
        (tmp_path / "postmaster.pid").write_text(text)
    assert cluster.is_ready(tmp_path) is ready


def test_last_lines_are_few_and_short(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert cluster.last_lines(log) == ""
    log.write_text("\n".join(f"line {n}" for n in range(30)))
    assert cluster.last_lines(log).splitlines() == [f"line {n}" for n in range(20, 30)]
    log.write_text("x" * 100_000 + " end")
    assert cluster.last_lines(log).endswith("x end")
    assert len(cluster.last_lines(log)) <= 4000

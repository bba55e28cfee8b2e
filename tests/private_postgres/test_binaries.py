"""Test which PostgreSQL a private server uses if a machine has several, or none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gaq_listen.errors import PrivateServerError
from gaq_listen.private_postgres import binaries
from gaq_listen.private_postgres.binaries import Binaries, find_binaries, usable_binaries
from gaq_listen.private_postgres.os_user import OsUser

THIS_USER = OsUser("this user")


def programs(directory: Path, *names: str, version: str = "18.6") -> Path:
    """Create a directory with programs that print a version."""
    directory.mkdir(parents=True)
    for name in names or ("initdb", "postgres", "pg_ctl"):
        program = directory / name
        program.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        program.chmod(0o755)
    return directory


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory that stands for a machine without PostgreSQL. All places of programs are below it."""
    monkeypatch.delenv("GAQ_LISTEN_PG_BIN", raising=False)
    monkeypatch.setattr(binaries, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(binaries, "WHEEL", "a_wheel_with_postgres")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.syspath_prepend(tmp_path / "site-packages")
    return tmp_path


Add = Callable[[Path, pytest.MonkeyPatch], Binaries]


def add_named(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Binaries:
    monkeypatch.setenv("GAQ_LISTEN_PG_BIN", str(machine / "named"))
    return Binaries(programs(machine / "named"))


def add_wheel(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Binaries:
    package = machine / "site-packages" / "a_wheel_with_postgres"
    directory = programs(package / "pginstall" / "bin")
    (package / "__init__.py").write_text("raise AssertionError('nobody needs to import this')")
    return Binaries(directory, package)


def add_on_path(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Binaries:
    installed = programs(machine / "cellar" / "bin")
    (machine / "path").mkdir()
    (machine / "path" / "pg_ctl").symlink_to(installed / "pg_ctl")
    return Binaries(installed)


def add_debian(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Binaries:
    programs(machine / "debian" / "9" / "bin")
    programs(machine / "debian" / "18" / "bin", "psql")
    (machine / "debian" / "common").mkdir()
    return Binaries(programs(machine / "debian" / "17" / "bin"))


PLACES: tuple[Add, ...] = (add_named, add_wheel, add_on_path, add_debian)


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_first_place_with_programs_is_used(machine: Path, monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    expected, *_ = [add(machine, monkeypatch) for add in PLACES[first:]]
    assert find_binaries() == expected


def test_no_programs_error_says_what_to_install(machine: Path) -> None:
    with pytest.raises(PrivateServerError, match=r"pip install 'gaq-listen\[demo\]'"):
        find_binaries()


def test_named_directory_without_programs_is_refused(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_debian(machine, monkeypatch)
    monkeypatch.setenv("GAQ_LISTEN_PG_BIN", str(programs(machine / "client", "psql", "initdb")))
    with pytest.raises(PrivateServerError, match=r"GAQ_LISTEN_PG_BIN is .*/client"):
        find_binaries()


def test_pg_ctl_on_path_without_server_is_ignored(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs(machine / "path", "pg_ctl")
    installed = add_debian(machine, monkeypatch)
    assert find_binaries() == installed


@pytest.mark.parametrize(("version", "major"), [("14.0", 14), ("18.6 (Debian 18.6-1)", 18)])
def test_version_of_initdb_is_returned(tmp_path: Path, version: str, major: int) -> None:
    directory = programs(tmp_path / "bin", version=version)
    assert usable_binaries(Binaries(directory), THIS_USER, tmp_path) == (directory, major)


def test_unsupported_version_is_refused(tmp_path: Path) -> None:
    directory = programs(tmp_path / "bin", version="13.9")
    with pytest.raises(PrivateServerError, match="version 13; 14 or newer is needed"):
        usable_binaries(Binaries(directory), THIS_USER, tmp_path)


def test_broken_programs_outside_the_wheel_are_not_copied(tmp_path: Path) -> None:
    directory = programs(tmp_path / "bin")
    (directory / "initdb").write_text("#!/bin/sh\nexit 127\n")
    with pytest.raises(PrivateServerError, match="this user cannot execute"):
        usable_binaries(Binaries(directory), THIS_USER, tmp_path)
    assert not (tmp_path / "binaries").exists()

"""As whom a private server runs."""

import os
import pwd
from pathlib import Path

import pytest

from gaq_listen.errors import PrivateServerError
from gaq_listen.private_postgres.os_user import OsUser, server_user


def entry(name: str, number: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", number, number + 1, "", "/", "/bin/false"))


def machine_with(monkeypatch: pytest.MonkeyPatch, **users: int) -> None:
    """Be root on a machine with these users, by name with their ids."""
    found = {name: entry(name, number) for name, number in users.items()}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", found.__getitem__)


def test_plain_user_runs_it_as_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    account = server_user()
    assert account.identity() == {"user": None, "group": None, "extra_groups": None}


@pytest.mark.parametrize(("users", "uid"), [({"nobody": 65534, "postgres": 101}, 101), ({"nobody": 65534}, 65534)])
def test_root_runs_it_as_somebody_else_without_further_groups(
    monkeypatch: pytest.MonkeyPatch, users: dict[str, int], uid: int
) -> None:
    machine_with(monkeypatch, **users)
    assert server_user().identity() == {"user": uid, "group": uid + 1, "extra_groups": []}


def test_root_without_anybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(monkeypatch)
    with pytest.raises(PrivateServerError, match="try as a plain user"):
        server_user()


def test_reaches_needs_every_directory_above(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    somebody, ourselves = OsUser("somebody", 12345, 12345), OsUser("ourselves")
    (tmp_path / "outer").chmod(0o750)
    assert not somebody.reaches(inner)
    assert ourselves.reaches(inner)
    assert somebody.reaches(Path("/"))

"""Test the OS user that runs a private server."""

import os
import pwd
from pathlib import Path

import pytest

from gaq_listen.errors import PrivateServerError
from gaq_listen.private_postgres.os_user import OsUser, server_user


def entry(name: str, number: int) -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", number, number + 1, "", "/", "/bin/false"))


def machine_with(monkeypatch: pytest.MonkeyPatch, **users: int) -> None:
    """Pretend to be root on a machine with these users, given as name=id."""
    found = {name: entry(name, number) for name, number in users.items()}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", found.__getitem__)


def test_plain_user_runs_the_server_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    user = server_user()
    assert user.identity() == {"user": None, "group": None, "extra_groups": None}


@pytest.mark.parametrize(("users", "uid"), [({"nobody": 65534, "postgres": 101}, 101), ({"nobody": 65534}, 65534)])
def test_root_runs_the_server_as_another_user_without_groups(
    monkeypatch: pytest.MonkeyPatch, users: dict[str, int], uid: int
) -> None:
    machine_with(monkeypatch, **users)
    assert server_user().identity() == {"user": uid, "group": uid + 1, "extra_groups": []}


def test_root_without_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(monkeypatch)
    with pytest.raises(PrivateServerError, match="run the command as a plain user"):
        server_user()


def test_user_reaches_a_directory_only_through_open_parents(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    other, this_user = OsUser("other", 12345, 12345), OsUser("this user")
    (tmp_path / "outer").chmod(0o750)
    assert not other.reaches(inner)
    assert this_user.reaches(inner)
    assert other.reaches(Path("/"))

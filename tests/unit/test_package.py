"""Check what the wheel contains, and that it works without a checkout."""

import os
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from readme_renderer.markdown import render

import gaq_listen

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, PROJECT],
        check=True,
        capture_output=True,
    )
    (built,) = target.glob("*.whl")
    return built


def test_wheel_has_every_script_and_the_types(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for path in (PROJECT / "sql").rglob("*.sql"):
        assert f"gaq_listen/sql/{path.relative_to(PROJECT / 'sql')}" in names
    assert "gaq_listen/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "sql/", "benchmarks/"))]


def test_wheel_works_outside_a_checkout(wheel: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    # With -P and the path first, Python does not find the package of the checkout.
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from gaq_listen.cli.main import main; main()"
    answer = subprocess.run(
        [sys.executable, "-P", "-c", program, str(installed), "sql", "20_sources"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=dict(os.environ),
        check=True,
    )
    assert answer.stdout.endswith((PROJECT / "sql" / "20_sources.sql").read_text())


def test_readme_of_the_wheel_has_no_relative_links(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = message_from_bytes(archive.read(name), policy=policy.default)
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    shown = render(metadata.get_content())
    assert shown is not None
    targets = re.findall(r'(?:href|src)="([^"#]+)"', shown)
    assert len(targets) > 10
    assert [target for target in targets if not target.startswith("https://")] == []
    pictures = re.findall(r'<img[^>]* src="([^"]+)"', shown)
    assert pictures
    assert all(picture.startswith("https://raw.githubusercontent.com/") for picture in pictures)
    ours = [target.partition("/main/")[2] for target in targets if "/main/" in target]
    assert [path for path in ours if not (PROJECT / path).exists()] == []


def test_package_runs_as_a_module() -> None:
    answer = subprocess.run([sys.executable, "-m", "gaq_listen", "--help"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("Usage: gaq-listen ")


def test_supervisor_does_not_import_psycopg() -> None:
    """The supervisor of a private server starts with each test server, and loading the driver would delay it."""
    code = "import sys, gaq_listen.private_postgres.supervisor; print('psycopg' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said == "False\n"


@pytest.mark.parametrize("name", gaq_listen.__all__)
def test_every_name_of_the_interface_exists(name: str) -> None:
    assert getattr(gaq_listen, name) is not None

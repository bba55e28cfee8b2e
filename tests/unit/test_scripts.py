"""The package finds its SQL files, and only the sources files name source tables."""

import re

import pytest

from gaq_listen.dba.scripts import INSTALL_SCRIPTS, names, script
from gaq_listen.errors import UnknownName

SOURCE_TABLES = {
    "runs",
    "detectors",
    "run_detectors",
    "data_passes",
    "data_pass_runs",
    "qc_flag_types",
    "qc_flags",
    "qc_flag_verifications",
    "gaq_detectors",
    # the tables of the Bookkeeping
    "data_passes_runs",
    "quality_control_flag_types",
    "quality_control_flags",
    "data_pass_quality_control_flag",
    "quality_control_flag_verifications",
    "global_aggregated_quality_detectors",
}


def test_numbered_scripts_are_installed_in_their_order() -> None:
    assert tuple(name for name in names() if name[0].isdigit()) == INSTALL_SCRIPTS


def test_script_is_found_with_and_without_its_number() -> None:
    assert script("refresh") == script("40_refresh") == script("40_refresh.sql")


def test_unknown_script_is_refused_with_the_known_names() -> None:
    with pytest.raises(UnknownName, match="20_sources"):
        script("../../etc/passwd")


@pytest.mark.parametrize("name", [name for name in INSTALL_SCRIPTS if name != "20_sources"])
def test_script_other_than_sources_names_no_source_table(name: str) -> None:
    code = re.sub(r"--[^\n]*|'[^']*'", "", script(name))
    read = re.findall(r"\b(?:from|join|update|into|on|table)\s+(?:only\s+)?([a-z_.]+)", code, re.I)
    assert not set(read) & SOURCE_TABLES

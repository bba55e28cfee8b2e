"""Define the detectors, QC flag types, LHC periods and data passes of the simulation."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime

_NAMES = "CPV CTP EMC FDD FT0 FV0 HMP ITS MCH MFT MID PHS TOF TPC TRD ZDC"
DETECTORS = {name: number for number, name in enumerate(_NAMES.split(), 1)}
"""Ids of detectors, by name."""
DETECTOR_NAMES = {number: name for name, number in DETECTORS.items()}
"""Names of detectors, by id."""

ALWAYS_PRESENT = frozenset({"CTP", "FT0", "ITS", "TPC", "ZDC"})
"""Names of the detectors that take part in every run."""

GAQ_DETECTORS = {
    beam_type: tuple(DETECTORS[name] for name in names)
    for beam_type, names in {
        "pp": ("TPC", "ITS", "FT0"),
        "PbPb": ("TPC", "ITS", "FT0", "ZDC"),
    }.items()
}
"""Ids of the GAQ detectors, by beam type."""

FLAG_TYPES = (
    (1, "Unknown Quality", True, False),
    (3, "No Detector Data", True, False),
    (4, "Limited Acceptance MC Not Reproducible", True, False),
    (5, "Limited Acceptance MC Reproducible", True, True),
    (6, "Bad PID", True, False),
    (7, "Bad Tracking", True, False),
    (8, "Bad Hadron PID", True, False),
    (9, "Good", False, False),
    (10, "Invalid", True, False),
    (11, "Bad Electron PID", True, False),
    (12, "Bad EM Calorimetry", True, False),
    (13, "Bad Photon Calorimetry", True, False),
    (14, "Unknown", True, False),
    (15, "Bad", True, False),
)
"""Id, name, ``bad`` and ``mc_reproducible`` of each flag type."""

_TYPE_IDS = {name: number for number, name, _, _ in FLAG_TYPES}
GOOD = _TYPE_IDS["Good"]
"""Id of the flag type "Good"."""
DISPUTED = (_TYPE_IDS["Unknown Quality"], _TYPE_IDS["Unknown"])
"""Ids of the flag types that the shift changes to bad or to not bad."""

# Half of the problems are limited acceptance, which simulations can mostly reproduce.
_ANY_DETECTOR = (
    *["Limited Acceptance MC Reproducible"] * 4,
    "Limited Acceptance MC Not Reproducible",
    "No Detector Data",
    "Unknown Quality",
    "Unknown",
    "Bad",
)
_ONE_DETECTOR = {
    "EMC": ("Bad EM Calorimetry",),
    "ITS": ("Bad Tracking",),
    "MFT": ("Bad Tracking",),
    "PHS": ("Bad Photon Calorimetry",),
    "TOF": ("Bad PID", "Bad Hadron PID"),
    "TPC": ("Bad Tracking", "Bad PID"),
    "TRD": ("Bad Tracking", "Bad Electron PID"),
}
COMMENTS = (
    "HV trip",
    "after recovery of the front-end",
    "busy, links dropped",
    "hot channels masked",
    "occupancy drop in one sector",
    "readout error, stave excluded",
    "seen in the matching efficiency",
    "see logbook",
)


def problem(detector: int, chance: random.Random) -> int:
    """Select a flag type for a problem of this detector, and return its id."""
    return _TYPE_IDS[chance.choice(_ANY_DETECTOR + _ONE_DETECTOR.get(DETECTOR_NAMES[detector], ()))]


@dataclass(frozen=True, slots=True)
class LhcPeriod:
    """An LHC period, and the names of the data passes over it."""

    beam_type: str
    first_run: int
    begins: datetime
    data_passes: tuple[str, ...]


LHC_PERIODS = (
    LhcPeriod("pp", 523142, datetime(2022, 8, 17, tzinfo=UTC), ("LHC22m_apass4",)),
    LhcPeriod("pp", 526463, datetime(2022, 10, 4, tzinfo=UTC), ("LHC22o_apass6", "LHC22o_apass7")),
    LhcPeriod("PbPb", 544013, datetime(2023, 10, 6, tzinfo=UTC), ("LHC23zzh_apass4", "LHC23zzh_apass5")),
    LhcPeriod("PbPb", 559544, datetime(2024, 11, 7, tzinfo=UTC), ("LHC24ar_cpass0",)),
)
"""The simulated LHC periods in the order of time."""

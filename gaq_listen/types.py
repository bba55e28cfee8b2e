"""Define the key of a pair, and how functions of schema ``gaq`` take keys."""

from collections.abc import Sequence
from typing import TypeAlias

Key: TypeAlias = tuple[int, int]
"""A data_pass_id and a run_number."""


def columns(pairs: Sequence[Key]) -> tuple[list[int], list[int]]:
    """Return the keys of pairs as two parallel arrays, as functions of schema ``gaq`` take them."""
    return [data_pass_id for data_pass_id, _ in pairs], [run_number for _, run_number in pairs]

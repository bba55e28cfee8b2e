"""Pairs as schema ``gaq`` takes them."""

from collections.abc import Sequence
from typing import TypeAlias

Key: TypeAlias = tuple[int, int]
"""data_pass_id and run_number."""


def columns(pairs: Sequence[Key]) -> tuple[list[int], list[int]]:
    """The two parallel arrays that functions of schema ``gaq`` take."""
    return [data_pass_id for data_pass_id, _ in pairs], [run_number for _, run_number in pairs]

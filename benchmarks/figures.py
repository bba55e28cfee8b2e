"""Figures: the values of each contestant, one for each repeat, and the targets that they should reach."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal

from gaq_listen.observers.staleness import percentile


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for the ratio of a contestant to the base, or with ``absolute`` for its value."""

    contestant: str
    sign: Literal["≤", "≥"]
    limit: float
    absolute: bool = False


@dataclass(slots=True)
class Figure:
    """What was measured. ``values`` has a list for each contestant, with one value for each repeat.

    The contestants were measured in turns, so values at the same place of two lists belong together.
    """

    name: str
    unit: str
    base: str
    """The contestant that the others are compared with."""
    values: dict[str, list[float]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    def add(self, contestant: str, value: float) -> None:
        """Record the value of one more repeat."""
        self.values.setdefault(contestant, []).append(value)

    def add_percentile(self, contestant: str, share: float, values: Iterable[float]) -> None:
        """Record a percentile of the values of one more repeat, such as the median with the share 0.5."""
        self.add(contestant, percentile(sorted(values), share))

    def value(self, contestant: str) -> float:
        """Return the median of a contestant."""
        return median(self.values[contestant])

    def ratios(self, contestant: str) -> list[float]:
        """Return the ratio to the base for each repeat, or to the median of a base with another number of repeats."""
        values, base = self.values[contestant], self.values[self.base]
        if contestant == self.base:
            return [1.0] * len(values)
        if not all(base):
            return []  # a ratio to zero does not exist
        if len(values) == len(base):
            return [value / other for value, other in zip(values, base, strict=True)]
        return [value / median(base) for value in values]

    def ratio(self, contestant: str) -> float:
        """Return the median of the ratios of a contestant."""
        return median(self.ratios(contestant))

    def met(self, target: Target) -> bool:
        """Return whether the median reaches the target."""
        reached = self.value(target.contestant) if target.absolute else self.ratio(target.contestant)
        return reached <= target.limit if target.sign == "≤" else reached >= target.limit

    def as_json(self) -> dict[str, Any]:
        """Return all values for JSON, and for people also the medians, the ratios and whether targets were met."""
        contestants: dict[str, Any] = {}
        for name, values in self.values.items():
            contestants[name] = {"values": [round(value, 4) for value in values], "median": round(self.value(name), 4)}
            if ratios := self.ratios(name):
                spread = [round(end(ratios), 3) for end in (min, max)]
                contestants[name] |= {"ratio": round(self.ratio(name), 3), "spread": spread}
        targets = [asdict(target) | {"met": self.met(target)} for target in self.targets]
        return {
            "name": self.name,
            "unit": self.unit,
            "base": self.base,
            "contestants": contestants,
            "targets": targets,
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Figure":
        """Build a figure from the result of ``as_json``."""
        targets = [
            Target(target["contestant"], target["sign"], target["limit"], target["absolute"])
            for target in saved["targets"]
        ]
        values = {name: contestant["values"] for name, contestant in saved["contestants"].items()}
        return cls(saved["name"], saved["unit"], saved["base"], values, targets)

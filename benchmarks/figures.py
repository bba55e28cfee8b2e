"""What is measured: for each contestant a value a repeat, and what they are compared with."""

from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What is wanted of a contestant: of its ratio to the base, or of the value itself."""

    contestant: str
    sign: Literal["≤", "≥"]
    limit: float
    absolute: bool = False


@dataclass(slots=True)
class Figure:
    """``values`` has a list for each contestant, a repeat each; they were measured in turns."""

    name: str
    unit: str
    base: str
    """The contestant that the others are compared with."""
    values: dict[str, list[float]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)

    def add(self, contestant: str, value: float) -> None:
        """Takes note of one more repeat."""
        self.values.setdefault(contestant, []).append(value)

    def value(self, contestant: str) -> float:
        """The median."""
        return median(self.values[contestant])

    def ratios(self, contestant: str) -> list[float]:
        """To the base, repeat by repeat; to its median when the base has not as many repeats."""
        values, base = self.values[contestant], self.values[self.base]
        if contestant == self.base:
            return [1.0] * len(values)
        if not all(base):
            return []  # there is no ratio to nothing
        if len(values) == len(base):
            return [value / other for value, other in zip(values, base, strict=True)]
        return [value / median(base) for value in values]

    def ratio(self, contestant: str) -> float:
        """The median of the ratios."""
        return median(self.ratios(contestant))

    def met(self, target: Target) -> bool:
        """Whether the median reaches the target."""
        reached = self.value(target.contestant) if target.absolute else self.ratio(target.contestant)
        return reached <= target.limit if target.sign == "≤" else reached >= target.limit

    def as_json(self) -> dict[str, Any]:
        """Everything measured; what follows from it is there for whoever reads the file."""
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
        """What ``as_json`` returned."""
        targets = [
            Target(target["contestant"], target["sign"], target["limit"], target["absolute"])
            for target in saved["targets"]
        ]
        values = {name: contestant["values"] for name, contestant in saved["contestants"].items()}
        return cls(saved["name"], saved["unit"], saved["base"], values, targets)

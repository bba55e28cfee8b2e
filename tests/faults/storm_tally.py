"""Count what happened in a storm, by mishap, without any I/O."""

from collections import Counter
from collections.abc import Iterable


class StormTally:
    """The mishaps of a storm and their consequences. ``not_tested`` has the mishaps that this machine cannot cause."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self.times: Counter[str] = Counter()
        self.pairs: Counter[str] = Counter()
        self.longest: dict[str, float] = {}
        self.wrong: Counter[str] = Counter()
        self.not_tested: dict[str, str] = {}
        self.changes = 0
        self._kinds = tuple(kinds)

    def rarest(self) -> list[str]:
        """Return the mishaps that this machine can cause and that have happened least often."""
        possible = [kind for kind in self._kinds if kind not in self.not_tested]
        fewest = min((self.times[kind] for kind in possible), default=0)
        return [kind for kind in possible if self.times[kind] == fewest]

    def add(self, kind: str, pairs: int, longest: float, wrong: int) -> None:
        """Count one mishap: pairs refreshed since, the longest staleness in seconds, and the number of wrong pairs."""
        self.times[kind] += 1
        self.pairs[kind] += pairs
        self.longest[kind] = max(self.longest.get(kind, 0.0), longest)
        self.wrong[kind] += wrong

    def table(self) -> str:
        """Return a table with one line for each mishap."""
        lines = [f"{'mishap':<36}{'times':>7}{'pairs':>9}{'longest stale':>16}{'wrong':>7}"]
        rows = [
            (kind, self.times[kind], self.pairs[kind], self.longest[kind], self.wrong[kind])
            for kind in sorted(self.times)
        ]
        longest = max(self.longest.values(), default=0.0)
        rows.append(("total", self.times.total(), self.pairs.total(), longest, self.wrong.total()))
        lines += [f"{row[0]:<36}{row[1]:>7}{row[2]:>9,}{row[3]:>14.2f} s{row[4]:>7}" for row in rows]
        lines.append(f"{self.changes:,} changes were committed meanwhile, and no writer met an error")
        lines += [f"{kind}: {why}" for kind, why in sorted(self.not_tested.items())]
        left = [kind for kind in self._kinds if not self.times[kind] and kind not in self.not_tested]
        if left:
            lines.append(f"NOT TESTED, because the time was too short: {', '.join(sorted(left))}")
        return "\n".join(lines)

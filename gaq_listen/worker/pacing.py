"""How much at a time, and how long to rest: pure decisions, with the clock passed in.

Which pairs are due is decided where the marks are, by ``gaq.due_at`` in ``sql/38_due.sql``.
All times are seconds of a monotonic clock.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf

TARGET_BATCH_SECONDS = 0.25
"""Batches shrink when they take longer: a fresh change should not wait long behind old ones."""

SHORTEST_TIMEOUT = 1.0
"""Seconds that any batch may take: none is ended that is as long as it should be, however short the heartbeat."""

TICK = 0.025
"""Seconds from one poll to the next of a worker that no writer rings for, while it finds changes."""

SHORTEST_TICK = 0.005
"""Seconds that such a worker rests at least, after a refresh that took as long as a tick."""

MANY = 20
"""Pairs that a poll finds under load. The worker then rests longer, so that it refreshes larger batches."""

BUSY_TICK = 0.05
LONGEST_BUSY_TICK = 0.25
"""Seconds that a worker rests after a poll that has found many pairs, at least and at most: in between as long as the
refresh took, so that writers have at least half of the core that the worker's session runs on."""

LONGEST_TICK = 0.1
"""Seconds between two polls of a worker that has given the doorbell up because writers contend, when it finds none."""

CLAIMED = 0.25
"""How soon to look again at a mark that somebody else has claimed: its worker may die."""

CHECK_HOLDER = 1.15
"""How often to check that the other worker, who holds the bell, still does: with the sweeps, at most once a second."""

PAUSED = 5.0
"""How often to look whether a pause is over: its end rings, but a ring can be lost."""

RING_OTHERS = 1.0
"""Seconds between two rings of a worker that has more to do than one batch."""

WARN_AFTER = 5
"""Full batches, one after the other, after which a backlog is worth a warning."""

WARN_AGAIN_AFTER = 30
"""And after which the warning is repeated."""

AUDIT_EVERY = 10.0
"""Seconds between two portions of an audit."""


class BatchSize:
    """Between a minimum and a maximum number of pairs: grows while batches come back full and fast."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self._minimum = minimum
        self._maximum = maximum
        self.pairs = minimum

    def after(self, refreshed: int, seconds: float) -> None:
        """Takes note of a batch: how many pairs it had, how long it took."""
        if seconds > TARGET_BATCH_SECONDS or refreshed <= self.pairs // 2:
            self.pairs = max(self._minimum, self.pairs // 2)
        elif refreshed >= self.pairs:
            self.pairs = min(self._maximum, self.pairs * 2)


@dataclass(frozen=True, slots=True)
class BatchTimeout:
    """How long a batch may take, in seconds.

    After ``seconds`` the server ends it. When there is no answer after ``answer``, it is lost with its connection.
    """

    seconds: float
    answer: float


class BatchTimeouts:
    """Lets batches take no longer than is usual, so that a backend that stands still shows soon; and all of it at need.

    A live backend ends what takes too long, a frozen one says nothing; nothing else tells them apart. So a batch is to
    be brief, and is answered within a ``heartbeat``. When it is not, that is no failure yet: what is tried next has
    the whole ``batch_timeout``, until something was brief again.
    """

    def __init__(self, batch_timeout: float, heartbeat: float) -> None:
        self.whole = BatchTimeout(batch_timeout, batch_timeout + heartbeat)
        brief = min(batch_timeout, max(SHORTEST_TIMEOUT, heartbeat / 2))
        self.brief = BatchTimeout(brief, brief + heartbeat / 2)
        self._next = self.brief

    def next(self) -> BatchTimeout:
        """What a batch may take that begins now."""
        allowed, self._next = self._next, self.whole
        return allowed

    def took(self, seconds: float) -> None:
        """Takes note that it was done, and how long it took."""
        if seconds < self.brief.seconds / 2:
            self._next = self.brief


class BacklogWarning:
    """Watches for a backlog that stays above the largest batch."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._warned = 0
        self.passed = 0
        """Full batches, one after the other."""

    def after(self, full: bool) -> bool:
        """Takes note of a batch, and whether it was full; returns whether it is time to count what is left."""
        if not full:
            self._warned = self.passed = 0
            return False
        self.passed += 1
        since = self.passed - self._warned
        return since % WARN_AGAIN_AFTER == 0 if self._warned else since % WARN_AFTER == 0

    def above(self, left: int) -> bool:
        """Takes note of how many pairs are left; returns whether that is worth a warning."""
        if left > self._largest:
            self._warned = self.passed
        return left > self._largest

    @property
    def warned(self) -> bool:
        """Whether somebody has been warned who should be told when it is over."""
        return self._warned > 0


class AuditSchedule:
    """Divides so many pairs a minute into portions, every ``AUDIT_EVERY`` seconds."""

    def __init__(self, a_minute: int, now: float) -> None:
        self._a_second = a_minute / 60
        self._owed = 0.0
        self._since = now

    def due(self, now: float) -> int:
        """How many pairs are due now; they then count as done."""
        if now < self.next():
            return 0
        self._owed += (now - self._since) * self._a_second
        self._since = now
        portion = int(self._owed)
        # What was not done in time is not made up for: that would be a burst.
        self._owed -= portion
        return min(portion, max(1, round(2 * AUDIT_EVERY * self._a_second)))

    def next(self) -> float:
        """When the next portion is due; infinity: never."""
        return self._since + AUDIT_EVERY if self._a_second else inf


class PollInterval:
    """How long to rest where marks may come without a ring: a moment, and longer and longer while none comes."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = max(shortest, TICK)
        self._longest = max(longest, self._shortest)
        self._rest = self._shortest

    def after(self, found: bool) -> float:
        """Takes note of a look, and whether it found something; returns how long to rest."""
        rest = self._shortest if found else self._rest
        self._rest = min(self._longest, rest * 2)
        return rest


class Holder(Enum):
    """Who holds the doorbell's lock, seen by a worker that wants to sleep."""

    THIS_WORKER = "ours"
    OTHER_WORKER = "a colleague's"
    WRITERS = "nobody's"
    """Only writers (or strangers) hold it, shared: marks may come without a ring."""


class Mode(Enum):
    """How a worker waits."""

    LISTENING = "listening"
    """A ring ends the wait."""
    BESIDE = "beside"
    """A ring ends the wait. Another worker holds the doorbell, and this one checks now and then that it still does."""
    POLLING = "polling"
    """Rings are only counted: the worker has given the doorbell up because writers contend for it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """How a worker waits, and how many seconds at most; None: until a ring, or the sweep."""

    mode: Mode
    seconds: float | None


def next_wait(bell: Holder, next_due: float | None, claimed: bool, poll: float) -> Wait:
    """Return how a worker waits that may hold the doorbell and has tried to take it; ``bell`` says who holds it.

    ``next_due`` is the answer of ``gaq.next_due``: None for no mark at all, 0 for a pair that is due already.
    ``claimed``: another session has claimed that pair; else its mark came after the worker's last refresh.
    ``poll``: seconds to wait when marks may come without a ring.
    """
    if claimed:
        return Wait(Mode.LISTENING, CLAIMED)
    if bell is Holder.WRITERS:
        return Wait(Mode.LISTENING, poll if next_due is None else min(max(next_due, TICK), poll))
    if bell is Holder.OTHER_WORKER and next_due is None:
        return Wait(Mode.BESIDE, CHECK_HOLDER)
    if bell is Holder.OTHER_WORKER and next_due is not None:
        return Wait(Mode.LISTENING, min(next_due, CHECK_HOLDER))
    return Wait(Mode.LISTENING, next_due)


def poll_again(found: int, took: float) -> Wait:
    """Return how a worker waits that polls and has just refreshed ``found`` pairs in ``took`` seconds."""
    if found >= MANY:
        return Wait(Mode.POLLING, min(max(BUSY_TICK, took), LONGEST_BUSY_TICK))
    return Wait(Mode.POLLING, max(SHORTEST_TICK, TICK - took))


def next_poll(next_due: float | None, claimed: bool, poll: float) -> Wait:
    """Return how a worker waits that has given the doorbell up because writers contend.

    The parameters are those of ``next_wait``.
    """
    if claimed:
        return Wait(Mode.POLLING, LONGEST_TICK)
    longest = min(poll, LONGEST_TICK)
    return Wait(Mode.POLLING, longest if next_due is None else min(max(next_due, TICK), longest))

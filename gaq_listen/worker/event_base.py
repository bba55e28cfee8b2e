"""Define what all events have in common: a severity, a message, fields for the log, and a condition that lasts.

A new event is a subclass of :class:`WorkerEvent` in ``events.py``.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import fields
from enum import Enum, auto
from typing import Any, ClassVar, TypeAlias

from gaq_listen.wording import sanitize


class Severity(Enum):
    """Rank an event for an operator. The console has a colour for each, and the log a level."""

    NEUTRAL = auto()
    GOOD = auto()
    WARNING = auto()
    ERROR = auto()

    @property
    def level(self) -> str:
        """Return the level of a line of the log: ``WARNING`` if an operator should check the event, else ``INFO``."""
        return "WARNING" if self in (Severity.WARNING, Severity.ERROR) else "INFO"


MessagePart: TypeAlias = tuple[str, Severity]
"""A part of a message, which the console shows in the colour of the severity."""


class WorkerEvent(ABC):
    """Base of all events. A subclass is a frozen dataclass, and its float fields are seconds.

    ``lasting`` means that the event begins a condition, such as a pause. The event whose ``ends`` names the class of
    the first event ends the condition.
    """

    __slots__ = ()

    severity: ClassVar[Severity] = Severity.NEUTRAL
    lasting: ClassVar[bool] = False
    ends: "ClassVar[type[WorkerEvent] | None]" = None

    @abstractmethod
    def message(self) -> str:
        """Return the event as one printable line for people."""

    def message_parts(self) -> Sequence[MessagePart]:
        """Return the message in parts, the least important last, because a narrow terminal crops the end."""
        return ((self.message(), self.severity),)

    @property
    def name(self) -> str:
        """Return the name of the event in logs, such as ``caught_up``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()

    @property
    def logged(self) -> bool:
        """Return whether the console and the log have a line for the event."""
        return True

    def log_fields(self) -> dict[str, str]:
        """Return the ``key=value`` fields of a plain line of the log: numbers first, texts last, no empty texts."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        texts = {key: value for key, value in values.items() if isinstance(value, str | tuple)}
        numbers = {key: value for key, value in values.items() if key not in texts}
        named = {_with_unit(key, value): value for key, value in numbers.items()}
        return {key: _printable(value) for key, value in (named | texts).items() if value != ""}

    def repeat_key(self) -> Hashable | None:
        """Return what equal repetitions of the event have in common, or None if the event never counts as repeated.

        A condition that lasts is announced again and again. Such announcements are repetitions if only numbers differ.
        """
        if not self.lasting:
            return None
        values = (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]
        return tuple(value for value in values if isinstance(value, str | tuple))


def _with_unit(name: str, value: object) -> str:
    return f"{name}_s" if isinstance(value, float) and "seconds" not in name else name


def _printable(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.1f}"
        case tuple():
            return "; ".join(sanitize(str(text)) for text in value)
    return sanitize(str(value))

"""What the journal keeps for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from heapwarden.domain.restart import Figure


class EventKind(StrEnum):
    """Kinds of events."""

    HEALTH = "health"
    """The health state changed; ``what`` is the new state."""
    RESTART = "restart"
    """A restart came to a stage or to its end; ``what`` is the stage or the outcome."""
    HELD = "held"
    """A restart was wanted and not allowed; ``what`` is the bounded reason."""
    EXIT = "exit"
    """A process ended; ``what`` is the ExitReason."""
    REQUEST = "request"
    """Somebody used the API: ``what`` is restart, drain or undrain; figures hold ``from`` and ``status``."""
    AGENT = "agent"
    """The agent started, stopped or lost its journal; ``what`` says which."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of history."""

    wall: float
    """Unix time, seconds."""
    kind: EventKind
    what: str
    text: str
    """For people, one sentence with figures."""
    process: str = ""
    worker: str = ""
    pid: int = 0
    restart: str = ""
    """Id of the restart that it belongs to."""
    figures: Mapping[str, Figure] = field(default_factory=dict)

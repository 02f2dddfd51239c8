"""What an alert is, and the pieces of its texts."""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """What is asked of a person."""

    CRITICAL = "critical"
    """Somebody is called."""
    WARNING = "warning"
    """Look at it within the working day."""
    INFO = "info"
    """Worth knowing."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert, in Prometheus' terms. Texts are Go templates of ``$labels`` and ``$value``."""

    short_name: str
    severity: Severity
    board: str
    """The uid of the dashboard to look at."""
    panel: str
    """The title of the panel there that shows it best."""
    summary: str
    """One line: who, and what."""
    description: str
    """The figures, and what to do first."""
    expr: str
    lasts: str
    """How long it must hold before it fires: ``for``."""
    keep_firing_for: str | None = None
    """How long it must be over before it is resolved, so that one that comes and goes is one alert."""

    @property
    def name(self) -> str:
        """With the prefix that all share."""
        return f"Heapwarden{self.short_name}"


PROCESS = "{{ $labels.process }}/{{ $labels.worker }}"
"""As ``heapwarden top`` names it."""
WHERE = (
    "{{ if $labels.pod }}in pod {{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.pod }}"
    "{{ else }}on {{ $labels.instance }}{{ end }}"
)
WORKLOAD = "{{ with $labels.namespace }}{{ . }}/{{ end }}{{ $labels.workload }}"
PERCENT = "{{ $value | humanizePercentage }}"
"""The value of the expression, a ratio."""

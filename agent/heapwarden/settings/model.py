"""The checked settings, as plain records."""

from dataclasses import dataclass, field
from pathlib import Path

from heapwarden.domain.place import AskPods
from heapwarden.policy.matching import Watchlist


@dataclass(frozen=True, slots=True)
class Listen:
    """A TCP address. ``port`` 0 lets the kernel choose."""

    host: str = "0.0.0.0"  # noqa: S104  probes and Prometheus come from outside the pod
    port: int = 9797


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What lets people restart and drain by request."""

    value: str = field(repr=False)
    """Printable ASCII. Compare it in constant time; never show it."""
    file: Path | None = None
    """Where it was read from; None: the settings themselves, or a variable."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; the values are the defaults."""

    listen: Listen = field(default_factory=Listen)
    agent_check: Listen | None = None
    """Where HAProxy's agent-check is answered; None: nowhere."""
    socket: Path = Path("/run/heapwarden/agent.sock")
    socket_mode: int = 0o660
    state_dir: Path = Path("/var/lib/heapwarden")
    journal_max_age_seconds: float = 30 * 86_400.0
    journal_max_rows: int = 100_000
    api_token: ApiToken | None = None
    """None: requests that change anything are refused."""
    sample_interval_seconds: float = 1.0
    gc_profiler: bool = True
    """Whether reporters profile collections for used-before and used-after."""
    prom_client_metrics: bool = False
    """Whether ``/metrics/prom-client`` is served."""
    history_bytes: int = 8 * 2**20
    """Memory for the live page's charts, of all processes together; 0: none."""
    retry_after_seconds: float = 10.0
    """Told to load balancers with a 503."""
    ask_pods: AskPods = AskPods.AUTO
    watchlist: Watchlist = field(default_factory=Watchlist)
    notices: tuple[str, ...] = ()
    """What is right in the file and yet deserves a word, one line each."""

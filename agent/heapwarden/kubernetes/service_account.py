"""How the agent reaches the API from within a pod, and who it is there: the kubelet's variables and files."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

USUAL_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
FOLDER_VARIABLE = "HEAPWARDEN_SERVICE_ACCOUNT"
"""Another folder, for a token that only the agent's container is given (a projected volume)."""
INSTALL = "pip install 'heapwarden[kubernetes]'"


def client_installed() -> bool:
    """Whether the extra is. Looks for the library without importing it."""
    return importlib.util.find_spec("lightkube") is not None


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Where the API is, and the folder with ``token``, ``ca.crt`` and ``namespace``."""

    host: str
    port: str
    folder: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "ServiceAccount":
        """As the kubelet tells containers; ``host`` is empty outside of Kubernetes."""
        host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "443")
        return cls(host, port, Path(environment.get(FOLDER_VARIABLE) or USUAL_FOLDER))

    @property
    def url(self) -> str:
        """The API's address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"

    def namespace(self) -> str:
        """The pod's own; empty where the file is not there."""
        try:
            return (self.folder / "namespace").read_text().strip()
        except (OSError, ValueError):
            return ""

"""An operator that only writes down what it is asked."""

from collections.abc import Sequence

from fakes.restarts import restart
from heapwarden.domain.errors import RequestRefusedError
from heapwarden.domain.identity import Name
from heapwarden.domain.restart import Restart


class FakeOperator:
    """Writes down what it is asked, and does it, unless it is to refuse."""

    def __init__(self, refusal: RequestRefusedError | None = None) -> None:
        """Of two workers; ``refusal`` is raised when it is there."""
        self.asked: list[tuple[str, ...]] = []
        self.refusal = refusal

    def _names(self, *asked: str | None) -> list[Name]:
        self.asked.append(tuple(str(part) for part in asked))
        if self.refusal is not None:
            raise self.refusal
        _, name, worker, *_ = asked
        return [Name(str(name), worker)] if worker is not None else [Name(str(name), slot) for slot in ("0", "1")]

    def restart(self, name: str, worker: str | None, reason: str) -> Sequence[Restart]:
        """As the port says."""
        names = self._names("restart", name, worker, reason)
        return [restart(one.process, one.worker, pid=4711 + int(one.worker)) for one in names]

    def drain(self, name: str, worker: str | None, reason: str) -> Sequence[Name]:
        """As the port says."""
        return self._names("drain", name, worker, reason)

    def undrain(self, name: str, worker: str | None) -> Sequence[Name]:
        """As the port says."""
        return self._names("undrain", name, worker)

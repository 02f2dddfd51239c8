"""The two text formats, written in pieces so that a scrape of many processes never holds up the event loop.

prometheus-client's own writers take 6 to 8 µs a line and give one string at the end; they still write the agent's own
few metrics here, and choose the format.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE_OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from heapwarden.exposition.collector import SnapshotMetric
from heapwarden.exposition.family import Key, escaped

PIECE_LINES = 1_000
"""About a millisecond's work."""

_END = b"# EOF\n"


@dataclass(frozen=True, slots=True)
class Page:
    """One scrape's answer: ``pieces`` makes the next part of it each time it is asked."""

    content_type: str
    pieces: Iterator[bytes]


def page(registry: CollectorRegistry, accept: str) -> Page:
    """Everything in ``registry`` in the format that the request header ``Accept`` asks for."""
    content_type = _content_type(accept)
    openmetrics = content_type.startswith("application/openmetrics-text")
    return Page(content_type, _pieces(registry, openmetrics=openmetrics))


def _content_type(accept: str) -> str:
    try:
        _, content_type = choose_encoder(accept)
    except TypeError:  # a version that is no number, as in version=x
        return CONTENT_TYPE_PLAIN_0_0_4
    if content_type.startswith("application/openmetrics-text") and "version=1.0.0" not in content_type:
        return CONTENT_TYPE_OPENMETRICS  # a later version was asked for, and this is what we have
    return content_type


def _pieces(registry: CollectorRegistry, *, openmetrics: bool) -> Iterator[bytes]:
    others: list[Metric] = []
    lines: list[str] = []
    for metric in registry.collect():
        if not isinstance(metric, SnapshotMetric):
            others.append(metric)
            continue
        for line in _lines(metric, openmetrics=openmetrics):
            lines.append(line)
            if len(lines) == PIECE_LINES:
                yield _bytes(lines)
                lines.clear()
    yield _bytes(lines)
    yield _by_prometheus_client(others, openmetrics=openmetrics)
    if openmetrics:
        yield _END


def _lines(metric: SnapshotMetric, *, openmetrics: bool) -> Iterator[str]:
    family = metric.family
    name = family.base_name if openmetrics else family.name
    yield f"# HELP {name} {_help(family.help, openmetrics=openmetrics)}\n"
    yield f"# TYPE {name} {family.type}\n"
    base, points = family.base_name, family.points
    for subject in metric.subjects:
        labels = subject.labels
        for key, value in points(subject):
            suffix, more = _written(key)
            yield f"{base}{suffix}{labels}{more}{value}\n"


@lru_cache(maxsize=4096)
def _written(key: Key) -> tuple[str, str]:
    """A key's part of a line: the suffix, and its labels up to the value."""
    return key.suffix, "".join(f',{label}="{escaped(value)}"' for label, value in key.labels) + "} "


def _help(text: str, *, openmetrics: bool) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if openmetrics else text


def _bytes(lines: list[str]) -> bytes:
    # A label may come from JSON with half a surrogate pair in it, which UTF-8 has no bytes for.
    return "".join(lines).encode("utf-8", "replace")


class _These:
    """What prometheus-client's writers take for a registry."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def _by_prometheus_client(metrics: Iterable[Metric], *, openmetrics: bool) -> bytes:
    if not openmetrics:
        return generate_latest(_These(metrics))
    text: bytes = generate_openmetrics(_These(metrics))  # type: ignore[no-untyped-call]  # it has no annotations
    return text.removesuffix(_END)

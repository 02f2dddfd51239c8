"""All generated files together: where they stand and what is in them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from mixin import boards
from mixin.provisioning import configmaps, grafana, kustomize
from mixin.rules import grafana as grafana_alerting
from mixin.rules import operator, prometheus

DASHBOARDS = Path(__file__).resolve().parent.parent
"""The folder that all of them are in."""

Files = Mapping[str, str]
"""Paths relative to :data:`DASHBOARDS`, with ``/``, and the text of each, newline at the end."""

GENERATED = ("grafana", "prometheus", "operator", "provisioning", "kubernetes")
"""Folders in which nothing is written by hand."""

_MAKERS: tuple[Callable[[], Files], ...] = (
    boards.files,
    prometheus.files,
    operator.files,
    grafana_alerting.files,
    grafana.files,
)


def files() -> dict[str, str]:
    """Every generated file. The same text each time."""
    made: dict[str, str] = {}
    for make in _MAKERS:
        for path, text in make().items():
            if path in made:
                raise ValueError(f"{path} is made twice")
            made[path] = text
    made.update(configmaps.files(made))
    made.update(kustomize.files(made))
    return made


def committed() -> dict[str, str]:
    """What stands in the generated folders now."""
    found = (path for folder in GENERATED for path in sorted((DASHBOARDS / folder).rglob("*")) if path.is_file())
    return {path.relative_to(DASHBOARDS).as_posix(): path.read_text() for path in found}


def write() -> Iterator[Path]:
    """Bring the folders up to date; gives each path that was written or removed."""
    wanted, present = files(), committed()
    for path, text in wanted.items():
        if present.get(path) != text:
            target = DASHBOARDS / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            yield target
    for path in present.keys() - wanted.keys():
        (DASHBOARDS / path).unlink()
        yield DASHBOARDS / path

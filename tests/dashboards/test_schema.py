"""The dashboards have the shape that Grafana's own types give them: one run of its compiler over all of them."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from fakes.machine import ROOT, node
from fakes.panels import Board, boards, panels

LIVE = ROOT / "dashboards" / "live" / "node_modules"
SCHEMA = LIVE / "@grafana" / "schema"
TYPES = SCHEMA / "dist" / "types" / "raw" / "composable"
FAULT = re.compile(r"(\S+?\.ts)\((\d+),\d+\): error (TS\d+): (.*)")

WRITTEN = """\
export type Written<T> = T extends string ? `${T}`
  : T extends (infer I)[] ? Written<I>[]
  : T extends object ? { [K in keyof T]: Written<T[K]> }
  : T;
"""
"""A type as JSON has it: the values of an enum are plain strings there."""

OF_THE_DATA_SOURCE = ("expr", "step", "titleFormat", "textFormat", "tagKeys")
"""What an annotation has for Prometheus alone; the schema knows what all data sources share."""

WRONG: dict[str, tuple[Any, str]] = {
    "editable": ("no", "boolean"),
    "graphTooltip": (7, "DashboardCursorSync"),
    "graphToolTip": (1, "graphToolTip"),
    "templating": ({"list": [{"name": "x", "type": "query", "refresh": 3}]}, "VariableRefresh"),
}
"""Keys put wrong on purpose, and a word of what is said of each."""


def typed(name: str, kind: str, value: object) -> str:
    """A constant of this type; keys of an object that the type does not know are faults."""
    return f"export const {name}: Written<{kind}> = {json.dumps(value)};\n"


def of_board(board: Board) -> Iterator[str]:
    """The whole, a line for each panel's options, and one for the options of its fields."""
    annotations = [
        {key: value for key, value in one.items() if key not in OF_THE_DATA_SOURCE}
        for one in board["annotations"]["list"]
    ]
    yield f"import type {{ Written }} from './written';\nimport type {{ Dashboard }} from '{SCHEMA}';\n"
    for kind in sorted({panel["type"] for panel in panels(board)}):
        folder = TYPES / kind.replace("-", "") / "panelcfg" / "x" / "types.gen"
        yield f"import type * as {_word(kind)} from '{folder}';\n"
    yield typed("board", "Dashboard", {**board, "annotations": {"list": annotations}})
    for panel in panels(board):
        name, kind = f"panel{panel['id']}", _word(panel["type"])
        yield typed(name, f"Partial<{kind}.Options>", panel["options"])
        custom = panel["fieldConfig"]["defaults"].get("custom")
        if custom is not None and panel["type"] != "table":  # a table's are those that all fields share
            yield typed(f"{name}_fields", f"Partial<{kind}.FieldConfig>", custom)


def _word(kind: str) -> str:
    return kind.replace("-", "_")


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the compiler says, by file."""
    assert SCHEMA.exists(), "run `make test`, or: npm ci --ignore-scripts --prefix dashboards/live"
    folder = tmp_path_factory.mktemp("schema")
    (folder / "written.ts").write_text(WRITTEN)
    for name, board in boards().items():
        (folder / f"{name}.ts").write_text("".join(of_board(board)))
    (folder / "wrong.ts").write_text("".join(_wrong()))
    options = {"strict": True, "skipLibCheck": True, "noEmit": True, "types": [], "moduleResolution": "Bundler"}
    config = {"compilerOptions": {**options, "target": "ES2020", "module": "ESNext"}, "include": ["*.ts"]}
    (folder / "tsconfig.json").write_text(json.dumps(config))
    compiler = [node(22), LIVE / "typescript" / "bin" / "tsc", "--pretty", "false", "--project", folder]
    run = subprocess.run(compiler, capture_output=True, text=True, timeout=120, check=False, cwd=folder)
    found: dict[str, list[str]] = {}
    for file, _line, _code, said in FAULT.findall(run.stdout):
        found.setdefault(file, []).append(said)
    assert run.returncode == (2 if found else 0), run.stdout + run.stderr
    return found


def _wrong() -> Iterator[str]:
    """A constant for each thing that is wrong, and two for what only the types of a panel can tell."""
    yield f"import type {{ Written }} from './written';\nimport type {{ Dashboard }} from '{SCHEMA}';\n"
    yield f"import type * as timeseries from '{TYPES / 'timeseries' / 'panelcfg' / 'x' / 'types.gen'}';\n"
    for number, (key, (value, _said)) in enumerate(WRONG.items()):
        yield typed(f"wrong{number}", "Partial<Dashboard>", {key: value})
    yield typed("options", "Partial<timeseries.Options>", {"legends": {}})
    yield typed("fields", "Partial<timeseries.FieldConfig>", {"drawStyle": "boxes"})


@pytest.mark.parametrize("name", sorted(boards()))
def test_a_dashboard_has_the_shape_that_grafana_reads(name: str, faults: dict[str, list[str]]) -> None:
    """No key that it does not know, no value of another kind, in the board and in the options of each panel."""
    assert faults.get(f"{name}.ts", []) == []


def test_the_compiler_sees_what_is_wrong(faults: dict[str, list[str]]) -> None:
    """Each fault that was put in, and no other."""
    words = [*(said for _value, said in WRONG.values()), "legends", "boxes"]
    found = faults["wrong.ts"]
    assert len(found) == len(words)
    assert [word for word, said in zip(words, found, strict=True) if word not in said] == []

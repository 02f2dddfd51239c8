"""A reader without a cluster, who follows guides as far as can be told: what would be sent, and whom it would reach."""

import contextlib
import io
import shlex
import tomllib
from collections.abc import Callable, Mapping, Sequence

import kubernetes_validate

from fakes.machine import ROOT
from fakes.manifests import BIN, Object, container, containers, objects, pod_spec, said, title, workloads
from fakes.pod_policy import violations
from heapwarden.cli.main import build_parser, main

OPERATORS = {"PodMonitor", "PrometheusRule"}
Cluster = dict[str, Object]
"""What was applied so far, by kind and name."""


class Newcomer:
    """Follows commands one after the other, which may speak of what those before them have applied."""

    def __init__(self) -> None:
        """Nothing is applied yet."""
        self.cluster: Cluster = {}

    def follow(self, command: str) -> None:
        """Take one step. AssertionError, ValueError or KeyError: it would fail."""
        words = shlex.split(command, comments=True)
        step = next((step for begin, step in STEPS.items() if words[: len(begin.split())] == begin.split()), None)
        if step is None:
            raise ValueError(f"nobody knows how to follow {command}")
        step(self.cluster, words)


def _apply(cluster: Cluster, words: list[str]) -> None:
    assert set(words[2:-2]) <= {"--server-side"}, words
    _take(cluster, said(BIN / "kubectl", "kustomize", ROOT / words[words.index("-k") + 1]))


def _install(cluster: Cluster, words: list[str]) -> None:
    options = [word for word in words[4:] if word != "--create-namespace"]
    _take(cluster, said(BIN / "helm", "template", words[2], ROOT / words[3], *options))


def _take(cluster: Cluster, text: str) -> None:
    """As a server would: only objects that it knows."""
    found = objects(text)
    for one in found:
        if one["kind"] not in OPERATORS:
            kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    assert violations(found) == []
    cluster.update({title(one).lower(): one for one in found})


def _rollout(cluster: Cluster, words: list[str]) -> None:
    assert words[-2] == "status"
    assert words[-1] in cluster


def _port_forward(cluster: Cluster, words: list[str]) -> None:
    ports = [port for one in containers(pod_spec(cluster[words[-2]])) for port in one.get("ports", ())]
    assert int(words[-1]) in [port["containerPort"] for port in ports]


def _exec(cluster: Cluster, words: list[str]) -> None:
    end = words.index("--")
    one = container(pod_spec(cluster[words[2]]), words[words.index("-c") + 1])
    program, *arguments = words[end + 1 :]
    if program == "heapwarden":
        assert one["name"] == "heapwarden"
        assert _parses(arguments)
    else:
        assert one["command"][0] == program


def _parses(arguments: Sequence[str]) -> bool:
    """Whether the command line is right; argparse exits where it is not."""
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            return bool(vars(build_parser().parse_args(arguments)))
        except SystemExit:
            return False


def _get_pods(cluster: Cluster, words: list[str]) -> None:
    label, value = words[words.index("-l") + 1].split("=")
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in workloads(list(cluster.values()))]
    assert any(labels.get(label) == value for labels in pods)


def _namespace(cluster: Cluster, words: list[str]) -> None:
    """The same in a namespace: that of what was applied."""
    assert any(one["metadata"].get("namespace", words[2]) == words[2] for one in cluster.values())
    rest = [words[0], *words[3:]]
    STEPS[" ".join(rest[:2])](cluster, rest)


def _label(_: Cluster, words: list[str]) -> None:
    assert words[2] == "namespace"
    assert "=" in words[4]


def _build(_: Cluster, words: list[str]) -> None:
    """What the manifests run, from targets that there are."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    target = words[words.index("--target") + 1] if "--target" in words else ""
    names: Mapping[str, str] = {"": "heapwarden/heapwarden", "reporter": "heapwarden/heapwarden-reporter"}
    assert words[words.index("--tag") + 1] == f"{names.get(target)}:{version}"
    assert not target or f" AS {target}\n" in (ROOT / "Dockerfile").read_text()


def _check(_: Cluster, words: list[str]) -> None:
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(io.StringIO()):
        assert main(words[1:]) == 0


STEPS: Mapping[str, Callable[[Cluster, list[str]], None]] = {
    "kubectl apply": _apply,
    "kubectl rollout": _rollout,
    "kubectl port-forward": _port_forward,
    "kubectl exec": _exec,
    "kubectl get pods": _get_pods,
    "kubectl -n": _namespace,
    "kubectl label": _label,
    "helm install": _install,
    "docker build": _build,
    "heapwarden check-config": _check,
}
"""The first words of a command → how to follow it."""

"""The guides: each command of docs/kubernetes.md and of the chart's README does something with what is there."""

import re
from pathlib import Path

import pytest

from fakes.guides import Newcomer
from fakes.machine import ROOT

PAGES = (ROOT / "docs" / "kubernetes.md", ROOT / "deploy" / "helm" / "heapwarden" / "README.md")


def commands(page: Path) -> list[str]:
    """The lines of its ``sh`` blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_works(page: Path) -> None:
    """In the page's order: a command may speak of what those before it have applied."""
    newcomer = Newcomer()
    for command in commands(page):
        newcomer.follow(command)
    assert len(commands(page)) > 2


WRONG = [
    "kubectl apply -k deploy/kubernetes/sidecars",
    "kubectl rollout status deployment/other",
    "kubectl port-forward deployment/demo 9798",
    "kubectl exec deployment/demo -c agent -- heapwarden doctor",
    "kubectl exec deployment/demo -c heapwarden -- heapwarden cure",
    "kubectl get pods -l app=demo --watch",
    "helm install demo deploy/helm/heapwarden --set mode=daemon",
    "docker build --tag heapwarden/heapwarden:0.1.0 --target agent .",
    "docker build --tag heapwarden/agent:0.1.0 .",
    "heapwarden check-config deploy/kubernetes/common/kustomization.yaml",
    "kubectl delete deployment/demo",
]


@pytest.mark.parametrize("command", WRONG)
def test_a_command_that_would_fail_is_noticed(command: str) -> None:
    """After the sidecar was applied."""
    newcomer = Newcomer()
    newcomer.follow("kubectl apply -k deploy/kubernetes/sidecar")
    with pytest.raises((AssertionError, ValueError, KeyError)):
        newcomer.follow(command)

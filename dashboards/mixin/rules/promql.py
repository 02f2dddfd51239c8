"""Pieces of PromQL that several rules share."""

from collections.abc import Iterable
from textwrap import indent

from mixin.vocabulary import IDENTITY, WORKLOAD


def labels(names: Iterable[str]) -> str:
    """``cluster, namespace, workload``."""
    return ", ".join(names)


def block(text: str) -> str:
    """Set in by two spaces, to stand between parentheses on lines of their own."""
    return indent(text.strip(), "  ")


def aggregate(operator: str, by: Iterable[str], expression: str) -> str:
    """``operator by (labels) (expression)``, over several lines."""
    return f"{operator} by ({labels(by)}) (\n{block(expression)}\n)"


def named(by: Iterable[str]) -> tuple[str, ...]:
    """The labels that :func:`per_workload` needs of the expression: WORKLOAD, process, and ``by``."""
    return (*WORKLOAD, "process", *by)


def per_workload(operator: str, expression: str, *also: str) -> str:
    """One series a workload (and a value of each label of ``also``).

    ``expression`` has one series a process's name: what :func:`named` names. Where ``workload`` is absent the name
    stands for it: ``;api`` is joined of no workload and the process api.
    """
    joined = f'label_join(\n{block(expression)},\n  "joined", ";", "workload", "process"\n)'
    replaced = f'label_replace(\n{block(joined)},\n  "workload", "$1", "joined", ";(.+)"\n)'
    return aggregate(operator, (*WORKLOAD, *also), replaced)


def per_process(expression: str, *also: str) -> str:
    """One series a process (and a value of each label of ``also``), its workload named as in :func:`per_workload`.

    For alerts: their labels are what identifies the process, whatever else a scrape adds, on hosts and in Kubernetes.
    """
    return per_workload("max", expression, *(label for label in IDENTITY if label not in WORKLOAD), *also)

"""YAML that a person can read: keys in the order given, expressions over several lines as they were written."""

from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """SafeDumper with block scalars, and lists set in below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002  as below
        """Set a list in, as people write it."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the signature is pyyaml's
        """Never ``*id001``: the same value twice is written twice."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(document: Any, comment: str = "") -> str:
    """The document below its comment, whose lines need no ``#``."""
    head = "".join(f"# {line}\n" if line else "#\n" for line in comment.splitlines())
    return head + yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)

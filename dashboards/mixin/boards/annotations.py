"""Marks on all panels where a process was restarted or ended."""

from grafana_foundation_sdk.builders.dashboard import AnnotationQuery

from mixin.boards.asking import DATASOURCE


def mark(name: str, expr: str, *, color: str, title: str, text: str, tags: str) -> AnnotationQuery:
    """A mark wherever ``expr`` has a value; ``title`` and ``text`` may name its labels as ``{{label}}``."""
    return (
        AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(True)
        .hide(False)
        .icon_color(color)
        .expr(expr)
        .step("15s")
        .title_format(title)
        .text_format(text)
        .tag_keys(tags)
    )

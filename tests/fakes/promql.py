"""What a query of a dashboard asks for, read from its text; the variables are still in it."""

import re
from dataclasses import dataclass

_SELECTOR = re.compile(r"(?:\b(\w+)\s*\(\s*)?([a-zA-Z_:][\w:]*)\{([^}]*)\}(?:\[([^]]+)\])?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)")
_BARE = re.compile(r"(?<![\w$:.\"])([a-zA-Z_:][\w:]*)\b(?!\s*[({])")
_WORDS = {"and", "or", "unless", "bool", "offset", "by", "without", "on", "ignoring", "group_left", "group_right"}


@dataclass(frozen=True)
class Selector:
    """One metric that is asked for."""

    metric: str
    matchers: tuple[tuple[str, str, str], ...]
    """Label, operator, value."""
    function: str
    """What stands directly around it, such as ``rate`` or ``sum``; empty where nothing does."""
    window: str
    """Between the brackets behind it; empty where there are none."""


def selectors(expression: str) -> list[Selector]:
    """All of them. Fails where a metric stands without braces: nothing would choose among its series."""
    bare = _GROUPING.sub("", re.sub(r'"[^"]*"', "", re.sub(r"\{[^}]*\}|\[[^]]*\]", "{}", expression)))
    for word in _BARE.findall(re.sub(r"[a-zA-Z_:][\w:]*\{\}", "", bare)):
        assert word in _WORDS, f"{word} stands bare in {expression}"
    return [
        Selector(metric, tuple(_MATCHER.findall(matchers)), function or "", window or "")
        for function, metric, matchers, window in _SELECTOR.findall(expression)
    ]

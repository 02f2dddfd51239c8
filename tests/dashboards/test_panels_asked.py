"""How the tests fill in what Grafana fills in, and what they take for an answer that is as expected."""

import pytest

from fakes.panel_table import Known, Series, fault
from fakes.panels import Board, Query, Values, View, asked, choices
from fakes.prometheus import Labels

BOARD: Board = {
    "panels": [],
    "templating": {
        "list": [
            {"name": "pod", "type": "query", "multi": True, "includeAll": True, "allValue": ".*"},
            {
                "name": "worker",
                "type": "query",
                "query": {"query": 'label_values(up{pod=~"$pod"}, worker)'},
            },
        ]
    },
}
SCENE = Known(restarting=100, has_limit=True)


@pytest.mark.parametrize(
    ("text", "values", "sent"),
    [
        pytest.param('up{pod=~"$pod"}', {}, 'up{pod=~".*"}', id="all"),
        pytest.param('up{pod=~"${pod:regex}"}', {"pod": "api-1"}, 'up{pod=~"api-1"}', id="one"),
        pytest.param('up{pod=~"[[pod]]"}', {"pod": ["a", "b"]}, 'up{pod=~"(a|b)"}', id="several"),
        pytest.param('up{pod=~"$pod"}', {"pod": "a.b"}, r'up{pod=~"a\\.b"}', id="what regular expressions know"),
        pytest.param('up{pod=~"$pod"}', {"pod": ""}, 'up{pod=~""}', id="absent"),
        pytest.param('up{worker="$worker"}', {"worker": 'a"b'}, r'up{worker="a\"b"}', id="no regular expression"),
        pytest.param("x[$__rate_interval]", {}, "x[120s]", id="four scrapes"),
        pytest.param("x[$__range] offset ${__interval}", {}, "x[3600s] offset 30s", id="times"),
    ],
)
def test_variables_are_filled_in_as_grafana_does(text: str, values: Values, sent: str) -> None:
    """All, one value, several; escaped where they stand in a regular expression."""
    assert asked(BOARD, Query("a panel", "A", text), View(range=3600), values) == sent


@pytest.mark.parametrize(
    ("view", "least", "rate"),
    [(View(range=86_400), "", "390s"), (View(range=3600), "1m", "240s"), (View(range=3600, scrape=15), "", "60s")],
)
def test_the_rate_interval_grows_with_the_step(view: View, least: str, rate: str) -> None:
    """A step and a scrape, at least four scrapes, of the panel's own least step where it has one."""
    assert asked(BOARD, Query("a panel", "A", "$__rate_interval", interval=least), view) == rate


def test_a_variable_that_nobody_defines_is_a_fault() -> None:
    """It would be sent as it stands, and match nothing."""
    with pytest.raises(AssertionError, match="nowhere"):
        asked(BOARD, Query("a panel", "A", '{pod="$pdo"}'), View(range=3600))


def test_what_a_variable_offers_depends_on_those_before_it() -> None:
    """The label, and the series with what was chosen."""
    assert choices(BOARD, "worker", {"pod": "api-1"}) == ("worker", 'up{pod=~"api-1"}')


def one(value: float, at: float = 110.0, **labels: str) -> tuple[Labels, list[tuple[float, float]]]:
    """A series with one point."""
    return labels, [(at, value)]


@pytest.mark.parametrize(
    ("cell", "series"),
    [
        ("-", []),
        ("data", [one(1), one(2)]),
        ("3", [one(3)]),
        ("0.6-0.95", [one(0.7)]),
        ("x2", [one(1), one(2)]),
        ("api, (none)", [one(1, workload="api"), one(1)]),
        ("1 mark", [({}, [(110.0, 1.0), (125.0, 1.0)])]),
        ("limited", [one(1)]),
        ("any", []),
    ],
)
def test_an_answer_as_expected_is_no_fault(cell: str, series: Series) -> None:
    """Each kind of cell has an answer that it takes."""
    assert fault(cell, series, SCENE) is None


@pytest.mark.parametrize(
    ("cell", "series"),
    [
        ("-", [one(0)]),
        ("data", []),
        ("data", [one(float("nan"))]),
        ("3", [one(4)]),
        ("3", [one(3), one(3)]),
        ("0.6-0.95", [one(1)]),
        ("x2", [one(1)]),
        ("api, web", [one(1, workload="api")]),
        ("api", [one(1, workload="api"), one(1, workload="web")]),
        ("1 mark", [one(1, at=90)]),
        ("1 mark", [({}, [(110.0, 1.0), (190.0, 1.0)])]),
        ("1 mark", [one(1), one(1)]),
        ("limited", []),
    ],
)
def test_any_other_answer_is_told(cell: str, series: Series) -> None:
    """With what was expected."""
    assert "expected" in (fault(cell, series, SCENE) or "")

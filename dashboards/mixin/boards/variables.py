"""The choices at the top of a dashboard."""

from grafana_foundation_sdk.builders.dashboard import DatasourceVariable, QueryVariable
from grafana_foundation_sdk.models.dashboard import VariableRefresh, VariableSort

from mixin.boards.asking import DATASOURCE

ANY_OR_NONE = ".*"
"""All, series without the label too: a host without Kubernetes has no cluster, namespace or pod."""
ANY = ".+"
"""All, of a label that every series has."""


def data_source() -> DatasourceVariable:
    """Which Prometheus."""
    return DatasourceVariable("datasource").label("Data source").type("prometheus")


def choice(name: str, series: str, *, label: str, everything: str | None = ANY_OR_NONE) -> QueryVariable:
    """The values of label ``name`` in ``series``, of which several may be chosen.

    ``everything`` is what All stands for, and All is the default; None: there is no All, and the first is the default.
    """
    query = f"label_values({series}, {name})"
    variable = (
        QueryVariable(name)
        .label(label)
        .datasource(DATASOURCE)
        .query({"qryType": 1, "query": query, "refId": f"variable-{name}"})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NATURAL_ASC)
        .multi(True)
    )
    return variable if everything is None else variable.include_all(True).all_value(everything)

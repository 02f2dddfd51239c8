"""Queries: what is asked for, of which processes, and how a counter's events are counted."""

from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.models.common import DataSourceRef
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from mixin.vocabulary import AGENT_JOB, IDENTITY

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")


def chosen(*labels: str) -> str:
    """Matchers for what the variables of these names have chosen."""
    return ", ".join(f'{label}=~"${label}"' for label in labels)


WHO = "{{process}} {{worker}} {{pod}} {{instance}}"
"""The legend of one process. On hosts nothing but the instance tells two of the same name apart."""
FLEET = chosen("cluster", "namespace", "workload")
"""Recorded series."""
PROCESS = chosen("job", "cluster", "namespace", "process", "pod", "instance", "worker")
_ITS_JOB = f'{chosen("job", "instance")}, job=~"{AGENT_JOB}", {chosen("cluster")}'
AGENT = f"{_ITS_JOB}, {chosen('namespace')}"
"""Series that are not Heapwarden's by their name, such as ``up``: of its jobs alone, whatever is chosen."""


def of_fleet(metric: str, **labels: str) -> str:
    """A recorded series of the chosen workloads. Values of ``labels`` are regular expressions where they have a |."""
    return selector(metric, FLEET, **labels)


def of_process(figure: str, **labels: str) -> str:
    """A metric of the chosen processes, named without its prefix."""
    return selector(f"heapwarden_{figure}", PROCESS, **labels)


def of_agent(metric: str, **labels: str) -> str:
    """A series of the chosen agents."""
    return selector(metric, AGENT, **labels)


def of_watched(figure: str, **labels: str) -> str:
    """A metric of the processes that the chosen agents watch, named without its prefix.

    An agent of a node tells of pods of other namespaces than its own, so ``up`` says which agents are chosen.
    """
    return f"({selector(f'heapwarden_{figure}', _ITS_JOB, **labels)} and on (cluster, job, instance) {of_agent('up')})"


def selector(metric: str, *scopes: str, **labels: str) -> str:
    """A metric with matchers: of these labels first, then of the scopes."""
    exact = (f'{label}{"=~" if "|" in value else "="}"{value}"' for label, value in labels.items())
    return f"{metric}{{{', '.join((*exact, *scopes))}}}"


def by_process(metric: str, **labels: str) -> str:
    """The greatest value of each process of the chosen workloads, of a series that has ``workload`` as it was scraped.

    Where that is absent the process's name stands for it, as it does in series that are recorded by workload.
    """
    where = chosen("cluster", "namespace")
    labelled = selector(metric, where, chosen("workload"), **labels)
    plain = selector(metric, where, 'workload="", process=~"$workload"', **labels)
    return f"max by ({', '.join(IDENTITY)}) ({labelled} or {plain})"


def over(expr: str, legend: str = "__auto") -> Dataquery:
    """A range query, one line for each series."""
    return Dataquery().datasource(DATASOURCE).expr(expr).legend_format(legend).range()


def now(expr: str, legend: str = "__auto") -> Dataquery:
    """The value at the end of the time range."""
    return Dataquery().datasource(DATASOURCE).expr(expr).legend_format(legend).instant()


def rows(expr: str) -> Dataquery:
    """The value at the end of the time range, as rows of a table with a column for each label."""
    return now(expr).format(PromQueryFormat.TABLE)


def buckets(expr: str) -> Dataquery:
    """A histogram's buckets over time, for a heatmap."""
    return over(expr, "{{le}}").format(PromQueryFormat.HEATMAP)


def events(counter: str, step: str = "$__interval") -> str:
    """How often each counter went up since a ``step`` ago, by its own labels; nothing where it did not.

    ``increase`` does not see the first event of a series that is born with it, and gives fractions. This compares with
    the value of a step ago: more is the difference, and a birth or a restart of the count is all of it. A gap of up to
    a quarter of an hour in the scrapes is no birth.
    """
    before = f"last_over_time({counter}[15m] offset {step})"
    return f"({counter} - {before} > 0) or ({counter} < {before} or {counter} unless {before}) > 0"


def or_zero(expr: str, present: str) -> str:
    """A sum, or 0 where nothing adds to it but something is ``present``: with no data at all there is none to show."""
    return f"{expr} or 0 * count({present})"


def count_in_range(counter: str, present: str) -> str:
    """How many events there were in the dashboard's time range; 0 where none, and something was ``present``."""
    born = f"min_over_time({counter}[$__range]) unless last_over_time({counter}[15m] offset $__range)"
    seen = f"last_over_time({present}[$__range])"
    grown = or_zero(f"round(sum(increase({counter}[$__range])))", seen)
    return f"({grown}) + ({or_zero(f'sum({born})', seen)})"


def count_recorded(series: str, window: str = "$__interval", **labels: str) -> str:
    """Events within ``window``, of a series that records those of each minute."""
    return f"sum_over_time({of_fleet(series, **labels)}[{window}])"


def near(limit: str, use: str) -> str:
    """The sum of the limits, where a quarter of it was used at some time of the range.

    A limit that is far away would press everything else of its graph to the ground.
    """
    return f"sum({limit}) < 4 * sum(max_over_time({use}[$__range] @ end()))"

"""From one dashboard to the next, with the time range and what was chosen."""

from grafana_foundation_sdk.builders.dashboard import DashboardLink
from grafana_foundation_sdk.models.dashboard import DashboardLinkType

from mixin.vocabulary import IDENTITY

FLEET, PROCESS, AGENT = "heapwarden-fleet", "heapwarden-process", "heapwarden-agent"
"""The dashboards' uids."""

OF_ONE_PROCESS = tuple(label for label in IDENTITY if label != "workload")
"""Process's variables that choose one process."""

_TITLES = {FLEET: "Fleet", PROCESS: "Process", AGENT: "Agent"}
_TOOLTIPS = {
    FLEET: "All processes together",
    PROCESS: "One process, or a few, in every detail",
    AGENT: "Heapwarden itself",
}


def to(uid: str) -> DashboardLink:
    """A button at the top."""
    return (
        DashboardLink(_TITLES[uid])
        .type(DashboardLinkType.LINK)
        .icon("dashboard")
        .tooltip(_TOOLTIPS[uid])
        .url(f"/d/{uid}")
        .include_vars(True)
        .keep_time(True)
    )


def process_of_row() -> dict[str, object]:
    """A link of a table's cell to the process of its row; a label that the row lacks is asked for as absent."""
    chosen = "&".join(f"var-{label}=${{__data.fields.{label}:percentencode}}" for label in OF_ONE_PROCESS)
    return {
        "title": "Look at this process",
        "url": f"/d/{PROCESS}?${{__url_time_range}}&${{datasource:queryparam}}&{chosen}",
        "targetBlank": False,
    }

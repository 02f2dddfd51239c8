"""Restarts and exits of the last minute: counted once each, whatever becomes of the series in between.

``increase`` can't do it: a counter of the agent is born with its first event, at 1, and an event that comes with its
series is no increase. So the counter now is held against what it was at the last look, a minute ago:

- It was there: what has been added since.
- It was not, but the agent was: it was born since then, and all of it is new.
- The agent could not be scraped: its last value counts, of up to an hour ago. ``last_over_time`` reads past the marker
  that a failed scrape leaves. So a counter that is back is not counted anew, and what happened in between is.
- The agent has restarted since, or the counter is smaller: it began at 0 again, and all of it is new.
- The agent was not seen for an hour, or never: when its events happened nobody knows, so none is counted, unless it has
  started only now.

Everything is looked at 15 s late. A scrape is stored under the time at which it began, and might be missed by both
looks if it was still under way at the first.
"""

from mixin.rules.promql import labels, named, per_workload
from mixin.rules.rule import Recording
from mixin.vocabulary import EXITS, IDENTITY, PROCESS_EXITS, PROCESS_RESTARTS, RESTARTS

# Not namespace and pod: an agent of a node tells of other pods, and they are theirs.
_TARGET = labels(("cluster", "job", "instance"))
_NOW, _THEN = "offset 15s", "offset 1m15s"
_AGENT = "heapwarden_agent_processes"
_STARTED = 'process_start_time_seconds{process=""}'
_JUST_STARTED_SECONDS = 600


def _events(counter: str) -> str:
    """Events since the last look, by process and reason; once each where two jobs scrape the same agent."""
    return f"""\
max by ({labels((*IDENTITY, "reason"))}) (
  # What has been added since the last look at the same agent.
  {counter} {_NOW}
  - (
    (
      {counter} {_THEN}
      or
      (last_over_time({counter}[1h] {_THEN}) unless on ({_TARGET}) {_AGENT} {_THEN})
    )
    unless on ({_TARGET})
    ({_STARTED} {_NOW} != last_over_time({_STARTED}[1h] {_THEN}))
  ) >= 0
  or
  # Born since then, or begun again: all of it, of an agent that was seen before or has just started.
  {counter} {_NOW}
  and on ({_TARGET}) (
    last_over_time({_AGENT}[1h] {_THEN})
    or
    ({_AGENT} {_NOW} and on ({_TARGET}) {_STARTED} {_NOW} > time() - {_JUST_STARTED_SECONDS})
  )
)"""


def _of_workload(events: str) -> str:
    return per_workload("sum", f"sum by ({labels(named(('reason',)))}) ({events})", "reason")


EVENTS = (
    Recording(PROCESS_EXITS, _events("heapwarden_exits_total")),
    Recording(EXITS, _of_workload(PROCESS_EXITS)),
    Recording(PROCESS_RESTARTS, _events('heapwarden_restarts_total{dry_run="false"}')),
    Recording(RESTARTS, _of_workload(PROCESS_RESTARTS)),
)

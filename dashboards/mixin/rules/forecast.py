"""When the nearer limit will be hit, by the growth of the last half hour and of the last ten minutes.

It is the slower of the two, as what has stopped growing is not on its way to a limit: a heap that has risen by a step
and stays there has a slope for as long as the step is within the half hour.

Of the heap only the live set counts, what mark-compacts have left: used heap is a sawtooth of garbage, and its slope is
whatever part of a tooth one looks at.

Growth is measured within the life of one process. Its slot may have been another's half an hour ago, whose figures say
nothing about it, so a younger one is judged by its last ten minutes; and one that is younger than that, or of which
there are no figures so old, not at all.
"""

from mixin.rules.promql import aggregate, labels
from mixin.rules.rule import Recording
from mixin.vocabulary import IDENTITY, LIMIT_ETA

_LONG, _SHORT = ("30m", 1800), ("10m", 600)
_FAR_SECONDS = 86400
"""Half an hour tells nothing about a time beyond a day."""


def _seconds_left(limit: str, figure: str) -> str:
    return f"""\
clamp_min({limit} - {figure}, 0)
/
((
  (
    deriv({figure}[{_SHORT[0]}]) < deriv({figure}[{_LONG[0]}])
    or
    deriv({figure}[{_LONG[0]}])
  )
{_of_age(_LONG[1])}
  or
  deriv({figure}[{_SHORT[0]}])
{_of_age(_SHORT[1])}
) > 0)
< {_FAR_SECONDS}
and {figure} offset {_SHORT[0]}"""


def _of_age(seconds: int) -> str:
    return f"""\
  and on ({labels(IDENTITY)})
  time() - heapwarden_process_start_time_seconds >= {seconds}"""


FORECAST = (
    Recording(
        LIMIT_ETA,
        aggregate(
            "min",
            IDENTITY,
            "# Bytes up to the limit, by bytes a second.\n"
            + _seconds_left("heapwarden_heap_effective_limit_bytes", "heapwarden_heap_live_bytes")
            + "\nor\n"
            + _seconds_left("heapwarden_container_limit_bytes", "heapwarden_container_memory_bytes"),
        ),
    ),
)

"""The first row of Process: eight numbers, health over time, memory by its parts, and the heap against its limit."""

from mixin.boards.asking import WHO, count_in_range, near, now, of_process, over
from mixin.boards.panels import Panel, about, as_line, colored, number, stacked, states
from mixin.boards.process_heap import against_limit
from mixin.boards.style import BLUE, GREY, MAUVE, ORANGE, SKY, STATE_TEXTS, VERMILION, thresholds


def glance() -> tuple[Panel, ...]:
    """What a person on call looks at first."""
    return (
        _health(),
        _pressure(),
        _nearer(),
        _uptime(),
        _restarts(),
        _ooms(),
        _node(),
        _held(),
        states(
            "Health",
            about(
                "The verdict on each process over time.",
                normal="healthy throughout; starting for moments after a start.",
                act="see what stands above a state that lasts: pressure, collections or the event loop. "
                "Unknown: figures are missing; see the last row.",
            ),
            STATE_TEXTS,
            over(of_process("health_state"), WHO),
        ),
        _parts(),
        against_limit(),
    )


def _health() -> Panel:
    return (
        number(
            "Health",
            about(
                "The worst verdict of the chosen processes, now. A process that drains or restarts counts as worse.",
                normal="healthy.",
                act="degraded: look at pressure and at which limit is nearer. Unhealthy: load balancers leave it out, "
                "and a restart is due if a rule allows it; see Restarts and exits.",
            ),
            "none",
            now(f"max({of_process('health_state')})"),
            span=3,
        )
        .mappings([STATE_TEXTS])
        .thresholds(thresholds(3, 4))
    )


def _pressure() -> Panel:
    return number(
        "Pressure",
        about(
            "Used heap over the limit at which V8 gives up, or container memory over the container's limit, whichever "
            "is more. At 100 % the process dies.",
            normal="below 80 %; a sawtooth with the collections.",
            act="see the nearer limit beside, and whether the live set grows in the heap's graph below.",
        ),
        "percentunit",
        now(f"max({of_process('pressure_ratio')})"),
        span=3,
    ).thresholds(thresholds(0.8, 0.9))


def _heap_share() -> str:
    """Used heap of the main thread over its effective limit."""
    return f"{of_process('heap_used_bytes', thread='main')} / {of_process('heap_effective_limit_bytes', thread='main')}"


def _container_share() -> str:
    """The container's memory over its limit."""
    return f"{of_process('container_memory_bytes')} / {of_process('container_limit_bytes')}"


def _nearer() -> Panel:
    return number(
        "Nearer limit",
        about(
            "How much of each limit is used: of the main thread's heap, and of the container.",
            normal="both below 80 %, and the heap nearer than the container: V8 can collect, the kernel only kills.",
            act="heap nearer: raise --max-old-space-size, or find what is kept. Container nearer: memory is outside "
            "of the heap; see buffers and native memory, or lower the heap limit so that V8 collects in time.",
        ),
        "percentunit",
        now(f"max({_heap_share()})", "heap"),
        now(f"max({_container_share()})", "container"),
        span=3,
        named=True,
    ).thresholds(thresholds(0.8, 0.9))


def _uptime() -> Panel:
    return number(
        "Uptime",
        about(
            "Time since the youngest of the chosen processes started.",
            normal="since the last deployment.",
            act="shorter: see Restarts and exits for what ended the one before.",
        ),
        "s",
        now(f"time() - max({of_process('process_start_time_seconds')})"),
        span=3,
    )


def _restarts() -> Panel:
    return number(
        "Restarts",
        about(
            "Restarts that Heapwarden made in the time range; dry runs are not counted.",
            normal="0, or a few a day of an app that is known to leak.",
            act="more: look at the heap's live set between two of them. It shows how fast the app leaks.",
        ),
        "none",
        now(count_in_range(of_process("restarts_total", dry_run="false"), of_process("health_state"))),
        span=3,
    ).thresholds(thresholds(1, 3))


def _ooms() -> Panel:
    return number(
        "Out of memory",
        about(
            "Deaths for want of memory in the time range: by V8's heap limit or by the kernel.",
            normal="0.",
            act="see Restarts and exits for which limit it was, then raise that limit or look for a leak.",
        ),
        "none",
        now(count_in_range(of_process("exits_total", reason="heap_oom|cgroup_oom"), of_process("health_state"))),
        span=3,
    ).thresholds(thresholds(1, 3))


def _node() -> Panel:
    return number(
        "Node.js",
        about(
            "Versions of Node.js that run, with the number of processes of each.",
            normal="one version, and one that is maintained.",
            act="several: a deployment is under way, or stuck. Versions differ in heap limits and in collections.",
        ),
        "none",
        now(f"count by (node) ({of_process('process_info')})", "{{node}}"),
        span=3,
        named=True,
    )


def _held() -> Panel:
    return number(
        "Restart held",
        about(
            "Processes for which a rule wants a restart that is not made, and what stands against it.",
            normal="none.",
            act="budget or cooldown: restarts come faster than you allow. sibling: another one restarts first. "
            "no_successor, method or journal: a restart is not possible; the agent's log says why.",
        ),
        "none",
        now(f"count by (code) ({of_process('restart_held')})", "{{code}}"),
        now(f"0 * count({of_process('health_state')}) unless count({of_process('restart_held')})", "none"),
        span=3,
        named=True,
    ).thresholds(thresholds(1))


def _parts() -> Panel:
    total = f"sum without (thread) ({of_process('heap_total_bytes')})"
    external = f"sum without (thread) ({of_process('external_bytes')})"
    buffers = of_process("array_buffers_bytes")
    used = of_process("heap_used_bytes")
    rss = of_process("rss_bytes")
    shared = f"max by (cluster, namespace, pod, instance) ({of_process('container_limit_bytes')})"
    panel = stacked(
        "Memory by its parts",
        about(
            "The chosen processes together, all threads, no byte counted twice. External memory contains array "
            "buffers, so only the rest of it stands beside them; what is resident beyond heap and external memory is "
            "code, stacks and native memory. Committed heap need not be resident, so the sum can pass the line. A "
            "limit is drawn once a quarter of it is used.",
            normal="used heap goes up and down; all other parts are flat after the start.",
            act="see which part grows. Used heap: see the live set. Array buffers: streams or uploads that are kept. "
            "Native: an addon, or allocators that fragment. The line nears the container's limit: the kernel kills.",
        ),
        "bytes",
        over(f"sum({used})", _USED),
        over(f"clamp_min(sum({of_process('heap_total_bytes')}) - sum({used}), 0)", _FREE),
        over(f"sum({buffers})", _BUFFERS),
        over(f"clamp_min(sum({of_process('external_bytes')}) - sum({buffers}), 0)", _EXTERNAL),
        over(f"sum(clamp_min({rss} - {total} - {external}, 0))", _NATIVE),
        over(f"sum({rss})", _RSS),
        over(near(of_process("heap_limit_bytes", thread="main"), rss), _HEAP_LIMIT),
        over(near(shared, rss), _CONTAINER_LIMIT),
    )
    colored(panel, {_USED: BLUE, _FREE: SKY, _BUFFERS: ORANGE, _EXTERNAL: MAUVE, _NATIVE: GREY})
    as_line(panel, _RSS, VERMILION)
    as_line(panel, _HEAP_LIMIT, BLUE, dashed=True)
    return as_line(panel, _CONTAINER_LIMIT, VERMILION, dashed=True).height(10)


_USED, _FREE, _BUFFERS, _EXTERNAL, _NATIVE = (
    "heap, used",
    "heap, committed and free",
    "array buffers",
    "external, the rest",
    "native: code, stacks, malloc",
)
_RSS, _HEAP_LIMIT, _CONTAINER_LIMIT = "resident (RSS)", "heap limit", "container limit"

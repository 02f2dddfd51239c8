"""The heap of a process: what it holds, what it keeps, and what collecting costs."""

from mixin.boards.asking import WHO, buckets, near, of_process, over
from mixin.boards.panels import Panel, about, as_line, colored, lines, quiet, spread, stacked, with_marks
from mixin.boards.style import BLUE, GREY, MAUVE, ORANGE, SKY, SPACE_COLORS, VERMILION

RATE = "[$__rate_interval]"


def against_limit() -> Panel:
    """The main thread's heap. The lines of one process; of several, their sum."""
    used = of_process("heap_used_bytes", thread="main")
    panel = lines(
        "Heap against its limit",
        about(
            "The main thread's used heap, its live set (what was left after the last full collection), and the limit "
            "at which V8 gives up: the heap limit less three semi-spaces. It is drawn once a quarter of it is used.",
            normal="used heap is a sawtooth above a flat live set, far below the limit.",
            act="a live set that climbs from collection to collection is a leak: take two heap snapshots and compare. "
            "A high but flat one is a limit that is too small.",
        ),
        "bytes",
        over(f"sum({used})", "used"),
        over(f"sum({of_process('heap_live_bytes', thread='main')})", "live set"),
        over(f"sum({of_process('heap_total_bytes', thread='main')})", "committed"),
        over(near(of_process("heap_effective_limit_bytes", thread="main"), used), "limit where V8 gives up"),
    ).height(10)
    colored(panel, {"used": BLUE, "live set": ORANGE, "committed": GREY})
    return as_line(panel, "limit where V8 gives up", VERMILION, dashed=True)


def heap() -> tuple[Panel, ...]:
    """What is in the heap, and who keeps it."""
    spaces = stacked(
        "Heap spaces",
        about(
            "Used bytes of each space of the heap, all threads together.",
            normal="old space is most of it, and new space goes up and down with every minor collection.",
            act="large_object grows: long arrays or strings. code grows: functions that are made at run time.",
        ),
        "bytes",
        over(f"sum by (space) ({of_process('heap_space_used_bytes')})", "{{space}}"),
    )
    reserved = stacked(
        "Heap spaces, committed",
        about(
            "What V8 has taken from the system for each space.",
            normal="follows the used bytes, and stays a while after they have gone.",
            act="far above the used bytes for long: the heap is fragmented, or had a peak. A restart gives it back.",
        ),
        "bytes",
        over(f"sum by (space) ({of_process('heap_space_size_bytes')})", "{{space}}"),
    )
    contexts = lines(
        "Contexts",
        about(
            "Top-level contexts of V8, and those that were detached and not yet collected.",
            normal="one a thread, and none detached.",
            act="a growing number is a leak of vm contexts: test runners, template engines or sandboxes do that.",
        ),
        "none",
        over(f"sum({of_process('native_contexts')})", "native contexts"),
        over(f"sum({of_process('detached_contexts')})", "detached contexts"),
    )
    colored(contexts, {"native contexts": BLUE, "detached contexts": VERMILION})
    return colored(spaces, SPACE_COLORS), colored(reserved, SPACE_COLORS), contexts, _unreachable()


def _unreachable() -> Panel:
    limit, total = (of_process(f"heap_{name}_bytes", thread="main") for name in ("effective_limit", "total"))
    container = of_process("container_limit_bytes")
    rest = f"{of_process('container_memory_bytes')} - ignoring (thread) {total}"
    panel = lines(
        "Heap limit as a share of the container's",
        about(
            "Where V8 gives up, over the limit of the container: the heap alone, and with what else is in the "
            "container now.",
            normal="50 to 75 % alone, and below 100 % with all else: there is room for buffers and native memory.",
            act="at 100 % or more the heap limit can't be reached: the kernel kills the process first, with no "
            "collection and no report. Lower --max-old-space-size or raise the container's limit.",
        ),
        "percentunit",
        over(f"{limit} / ignoring (thread) {container}", f"{WHO}: alone"),
        over(f"({limit} + ignoring (thread) ({rest})) / {container}", f"{WHO}: with all else"),
    )
    return quiet(with_marks(panel, 0.8, 1))


def gc() -> tuple[Panel, ...]:
    """How often, how long, and what for."""
    return (*_pauses(), _time_share(), _frequency(), _reclaimed())


def _pauses() -> tuple[Panel, Panel]:
    bucket = "gc_duration_seconds_bucket"
    major = of_process(bucket, kind="major|incremental")
    return (
        spread(
            "Major pauses",
            about(
                "How long mark-compacts and steps of incremental marking stopped a thread: collections per second.",
                normal="most are below 25 ms, nearly all below 100 ms.",
                act="a band that moves up with the live set: the heap has become large. Above 0.5 s requests time out; "
                "look for what is kept, or spread the work over more processes.",
            ),
            buckets(f"sum by (le) (rate({major}{RATE}))"),
        ),
        spread(
            "Minor pauses",
            about(
                "How long collections of the new space stopped a thread: collections per second.",
                normal="a few milliseconds at most, several times a second under load.",
                act="longer ones copy much that survives: requests that hold large objects. More semi-space "
                "(--max-semi-space-size) makes them rarer, and lowers the limit where V8 gives up.",
            ),
            buckets(f"sum by (le) (rate({of_process(bucket, kind='minor')}{RATE}))"),
        ),
    )


def _time_share() -> Panel:
    isolates = f"clamp_min({of_process('isolates')}, 1)"
    panel = lines(
        "Time in collections",
        about(
            "The share of wall time in garbage collections, the average of the process's threads that have a heap.",
            normal="below 5 %.",
            act="above 20 % the process does little else: its heap is nearly full, or its limit too small. It will "
            "not get better by itself.",
        ),
        "percentunit",
        over(
            f"sum without (kind) (rate({of_process('gc_duration_seconds_sum')}{RATE})) / {isolates}",
            WHO,
        ),
    )
    return with_marks(panel, 0.1, 0.2)


_KINDS = {"minor": SKY, "major": VERMILION, "incremental": ORANGE, "weakcb": MAUVE}


def _frequency() -> Panel:
    panel = lines(
        "Collections",
        about(
            "Garbage collections per second by kind.",
            normal="minor ones follow the load; major ones come every few seconds or minutes.",
            act="more major ones at the same load: the heap is close to its limit, or array buffers come and go fast.",
        ),
        "ops",
        over(f"sum by (kind) (rate({of_process('gc_duration_seconds_count')}{RATE}))", "{{kind}}"),
    )
    return colored(panel, _KINDS)


def _reclaimed() -> Panel:
    panel = lines(
        "Reclaimed",
        about(
            "Bytes per second that collections freed, by kind, where Node can profile them: the app's garbage.",
            normal="follows the load.",
            act="major collections that free little, while they come often, are V8's last effort before it gives up.",
        ),
        "Bps",
        over(f"sum by (kind) (rate({of_process('gc_reclaimed_bytes_total')}{RATE}))", "{{kind}}"),
    )
    return colored(panel, _KINDS)

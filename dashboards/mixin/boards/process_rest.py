"""The other rows of Process: event loop, native memory, worker threads, ends, and the figures themselves."""

from mixin.boards.asking import WHO, events, of_process, over, rows
from mixin.boards.panels import Panel, about, bars, colored, lines, option, quiet, states, with_marks
from mixin.boards.process_heap import RATE
from mixin.boards.style import ANSWER_TEXTS, BLUE, GREY, ORANGE, REASON_COLORS, SKY, VERMILION
from mixin.boards.tables import listing, without_time
from mixin.vocabulary import IDENTITY

_BY = ", ".join(IDENTITY)


def loop() -> tuple[Panel, ...]:
    """Whether the main thread keeps up."""
    delay = lines(
        "Event loop delay",
        about(
            "How late the main thread's event loop was: the worst of the chosen processes.",
            normal="the 99th percentile is below 50 ms.",
            act="peaks together with time in collections: see Garbage collection. Peaks without them: synchronous "
            "work in the app; take a CPU profile.",
        ),
        "s",
        *(
            over(f"max({of_process('eventloop_delay_seconds', quantile=value)})", name)
            for value, name in (("0.5", "median"), ("0.99", "99th percentile"), ("1.0", "maximum"))
        ),
    )
    colored(delay, {"median": SKY, "99th percentile": BLUE, "maximum": ORANGE})
    isolates = f"clamp_min({of_process('isolates')}, 1)"
    busy = lines(
        "Event loop utilisation and time in collections",
        about(
            "The share of time that the main thread was busy, and the share that went into collections.",
            normal="below 80 %, and collections a small part of it.",
            act="busy with few collections: the process has too much to do; add processes. Busy with collections: it "
            "has too much to keep; see the heap.",
        ),
        "percentunit",
        over(f"max({of_process('eventloop_utilization_ratio')})", "busy"),
        over(
            f"max(sum without (kind) (rate({of_process('gc_duration_seconds_sum')}{RATE})) / {isolates})",
            "in collections",
        ),
    ).max(1)
    colored(busy, {"busy": BLUE, "in collections": VERMILION})
    return with_marks(delay, 0.1, 0.5), with_marks(busy, 0.8, 0.95)


def native() -> tuple[Panel, ...]:
    """What V8's heap does not hold."""
    outside = lines(
        "External memory and array buffers",
        about(
            "Memory outside of the heap that JavaScript objects hold, and the array buffers within it.",
            normal="flat, or with the load up and down.",
            act="climbing: buffers that are kept, such as uploads, caches of images or streams without an end.",
        ),
        "bytes",
        over(f"sum({of_process('external_bytes')})", "external, array buffers included"),
        over(f"sum({of_process('array_buffers_bytes')})", "array buffers"),
        over(f"sum({of_process('malloced_bytes')})", "V8's own"),
    )
    colored(outside, {"external, array buffers included": BLUE, "array buffers": ORANGE, "V8's own": GREY})
    container = lines(
        "Container memory",
        about(
            "The working set of the container, which is what the kernel holds against its limit. All processes of the "
            "container are in it.",
            normal="below 80 % of the limit.",
            act="near the limit while the processes' resident memory is not: another process, or files in memory.",
        ),
        "bytes",
        over(f"sum(max by (cluster, namespace, pod, instance) ({of_process('container_memory_bytes')}))", "used"),
        over(f"sum(max by (cluster, namespace, pod, instance) ({of_process('container_limit_bytes')}))", "limit"),
        over(f"sum({of_process('rss_bytes')})", "resident, chosen processes"),
    )
    colored(container, {"used": BLUE, "limit": VERMILION, "resident, chosen processes": SKY})
    return outside, container, _swap(), _faults()


def _swap() -> Panel:
    return lines(
        "Swapped out",
        about(
            "Memory of the process that the kernel has moved to disk.",
            normal="0.",
            act="a collection has to read all of it back, and takes seconds. Turn swap off for this workload, or give "
            "the machine more memory.",
        ),
        "bytes",
        over(of_process("swap_bytes"), WHO),
    )


def _faults() -> Panel:
    return lines(
        "Major page faults",
        about(
            "Page faults per second that had to read a disk.",
            normal="0 after the start.",
            act="steady: memory is so short that the kernel drops the program's own pages. It is slow long before it "
            "is killed; raise the container's limit.",
        ),
        "ops",
        over(f"rate({of_process('page_faults_total', kind='major')}{RATE})", WHO),
    )


def threads() -> tuple[Panel, ...]:
    """All worker threads of a process together; the main thread beside them."""
    sides = (("main", "main thread"), ("workers", "worker threads"))
    used = lines(
        "Used heap: main thread and workers",
        about(
            "Used heap of the main thread and of all worker threads together.",
            normal="flat. Without worker threads there is one line.",
            act="workers grow with their number: the app starts threads and does not end them. They grow alone: "
            "the leak is in the worker's code.",
        ),
        "bytes",
        *(over(f"sum({of_process('heap_used_bytes', thread=side)})", name) for side, name in sides),
    )
    outside = lines(
        "External memory: main thread and workers",
        about(
            "External memory of the main thread and of all worker threads together, array buffers included.",
            normal="flat, or with the load up and down.",
            act="workers grow: messages with large buffers that nobody takes from their ports.",
        ),
        "bytes",
        *(over(f"sum({of_process('external_bytes', thread=side)})", name) for side, name in sides),
    )
    number_of = lines(
        "Heaps and threads",
        about(
            "V8 heaps (the main thread and its worker threads), and all threads of the process.",
            normal="flat. Without worker threads there is one heap, and some ten threads.",
            act="heaps that grow are worker threads that are not ended. Each costs megabytes.",
        ),
        "none",
        over(f"sum({of_process('isolates')})", "heaps"),
        over(f"sum({of_process('threads')})", "threads"),
    )
    both = {"main thread": BLUE, "worker threads": ORANGE}
    return (
        colored(used, both),
        colored(outside, both),
        colored(number_of, {"heaps": BLUE, "threads": GREY}),
        _worker_limit(),
    )


def _worker_limit() -> Panel:
    return lines(
        "Used heap of worker threads over their limits",
        about(
            "Used heap of all worker threads over the sum of their limits. The fullest one may be above it: pressure "
            "speaks for that.",
            normal="below 80 %; no line without worker threads.",
            act="raise maxOldGenerationSizeMb in the worker's resourceLimits, or look for what it keeps.",
        ),
        "percentunit",
        over(
            f"{of_process('heap_used_bytes', thread='workers')}"
            f" / {of_process('heap_effective_limit_bytes', thread='workers')}",
            WHO,
        ),
    )


def end() -> tuple[Panel, ...]:
    """What ended, what was restarted, and what was not."""
    restarted = lines(
        "Restarts",
        about(
            "Restarts by the rule that asked for them, in each step of the graph. A dry run made none.",
            normal="none.",
            act="a steady rhythm is a leak that the restarts hide: see how the live set grows between them.",
        ),
        "none",
        over(f"sum by (reason, dry_run) ({events(of_process('restarts_total'))})", "{{reason}}, dry run: {{dry_run}}"),
    )
    ended = lines(
        "Exits",
        about(
            "Ends of processes by their cause, in each step of the graph.",
            normal="clean and memory_restart only.",
            act="heap_oom: V8 ran into its heap limit. cgroup_oom: the kernel killed it at the container's limit. "
            "crash: see the app's log at that time.",
        ),
        "none",
        over(f"sum by (reason) ({events(of_process('exits_total'))})", "{{reason}}"),
    )
    held = lines(
        "Restarts that are held",
        about(
            "Processes for which a rule wants a restart that is not made, by what stands against it.",
            normal="none, or cooldown for a short while.",
            act="look the code up in the guide; budget and no_successor need a decision of yours.",
        ),
        "none",
        over(f"count by (code) ({of_process('restart_held')})", "{{code}}"),
    )
    return quiet(bars(restarted)), quiet(colored(bars(ended), REASON_COLORS)), quiet(held), _all_counts()


def _all_counts() -> Panel:
    table = listing(
        "All exits that were seen",
        about(
            "Exits by process and cause since the agent began.",
            normal="mostly clean.",
            act="compare workers: a cause that only one of them shows is in what only that one does.",
        ),
        rows(f"max by ({_BY}, reason) ({of_process('exits_total')})"),
        sort="Times",
        span=12,
    ).height(8)
    return quiet(without_time(table.override_by_name("Value", [option("displayName", "Times")])))


def trust() -> tuple[Panel, ...]:
    """Where the figures come from, and how old they are."""
    sources = states(
        "Sources",
        about(
            "Whether each source of figures answers for the process: procfs and cgroup are the kernel's, reporter is "
            "within the app.",
            normal="all answer.",
            act="reporter is silent: the app was started without it, or has lost its agent. Resident memory goes on "
            "to be measured, the heap does not. A blocked app goes on to answer: see the age beside.",
        ),
        ANSWER_TEXTS,
        over(f"min by ({_BY}, source) ({of_process('up')})", f"{{{{source}}}} {WHO}"),
        span=12,
    ).height(8)
    age = lines(
        "Age of V8's figures",
        about(
            "Age of the newest figures from within the process at the time of the scrape.",
            normal="about as long as the agent's interval: a second or two.",
            act="growing: the event loop is blocked, or the process is stopped. Above two minutes an alert says so.",
        ),
        "s",
        over(of_process("sample_age_seconds"), WHO),
    )
    return sources, with_marks(age, 10, 120)

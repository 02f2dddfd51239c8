// What the charts show, from which columns.

import type { Layer, Subject } from "./chart";
import type { Known } from "./contract";
import { bytes, ratio, seconds, words } from "./format";
import { memoryParts } from "./stacks";
import type { Window } from "./window";

export interface Topic extends Subject {
  layers(window: Window): Layer[];
}

const MIB = 2 ** 20;
const SPACE = "space:";
const OLD = "space:old";
const OTHER = "space:other";
const STACK_COLOURS = 8;
/** The colour of what no name is known for. */
const REST = -1;

function area(key: string, label: string, values: Known[], colour: number): Layer {
  return {
    key,
    label,
    values,
    kind: "area",
    colour: colour === REST ? "stack-rest" : `stack-${colour % STACK_COLOURS}`,
  };
}

function line(key: string, label: string, values: Known[], colour: string): Layer {
  return { key, label, values, kind: "line", colour };
}

/** A limit; nothing where none is known. */
function limit(key: string, label: string, values: Known[]): Layer[] {
  return values.some((value) => value !== null) ? [{ key, label, values, kind: "limit", colour: "limit" }] : [];
}

/** The same without what is never there. */
function present(layers: Layer[]): Layer[] {
  return layers.filter((layer) => layer.values.some((value) => value !== null && value > 0));
}

const memory: Topic = {
  id: "memory",
  title: "Memory",
  about: "What resident memory (RSS) is made of. Parts that only grow are where to look.",
  format: bytes,
  floor: MIB,
  binary: true,
  height: 240,
  layers(window) {
    const [rss, heapUsed, heapTotal, external, arrayBuffers] = [
      "rss",
      "heapUsed",
      "heapTotal",
      "external",
      "arrayBuffers",
    ].map((name) => window.values(name)) as [Known[], Known[], Known[], Known[], Known[]];
    const parts = memoryParts({ rss, heapUsed, heapTotal, external, arrayBuffers });
    return [
      area("heapUsed", "heap used", parts.heapUsed, 0),
      area("heapFree", "heap committed, free", parts.heapFree, 2),
      area("arrayBuffers", "array buffers", parts.arrayBuffers, 4),
      area("external", "other external", parts.external, 5),
      area("rest", "rest: code, stacks, native, workers", parts.rest, REST),
      line("rss", "RSS", rss, "line-strong"),
      ...present([line("swap", "swap", window.values("swap"), "line-3")]),
      ...container(window),
    ];
  },
};

/** Without a limit it says little: on a laptop it is a whole session's memory, and would press the rest to the ground. */
function container(window: Window): Layer[] {
  const limits = limit("containerLimit", "container limit", window.values("containerLimit"));
  if (!limits.length) return [];
  return [line("containerMemory", "container", window.values("containerMemory"), "line-2"), ...limits];
}

const heap: Topic = {
  id: "heap",
  title: "Heap against its limit",
  about: "The live set is what major collections leave: a saw on a steady floor is healthy.",
  format: bytes,
  floor: MIB,
  binary: true,
  layers: (window) => [
    line("heapUsed", "heap used", window.values("heapUsed"), "line-1"),
    line("heapLive", "live set", window.values("heapLive"), "line-2"),
    ...limit("heapLimit", "effective limit", window.values("heapLimit")),
  ],
};

const spaces: Topic = {
  id: "spaces",
  title: "Heap spaces",
  about: "Growth in old is objects that are kept; in large object, big arrays and strings.",
  format: bytes,
  floor: MIB,
  binary: true,
  layers: (window) =>
    present(
      window
        .named(SPACE)
        .sort(oldFirst)
        .map((name, index) => space(name, window.values(name), index)),
    ),
};

function space(name: string, values: Known[], index: number): Layer {
  return area(name, words(name.slice(SPACE.length)), values, name === OTHER ? REST : index);
}

/** At the bottom, where the young generation's saw does not shake it; the rest as the agent has it. */
function oldFirst(one: string, other: string): number {
  return Number(other === OLD) - Number(one === OLD);
}

const KINDS: readonly (readonly [string, string, number])[] = [
  ["gcMajor", "major", 0],
  ["gcIncremental", "incremental", 2],
  ["gcMinor", "minor", 4],
  ["gcWeakcb", "weak callbacks", 6],
];

const collection: Topic = {
  id: "gc",
  title: "Time in garbage collection",
  about: "Share of wall time: a few percent is normal, above 20 % the heap is too small.",
  format: ratio,
  floor: 0.05,
  layers: (window) => KINDS.map(([key, label, colour]) => area(key, label, window.rates(key), colour)),
};

const pauses: Topic = {
  id: "pauses",
  title: "Longest pause",
  about: "Longest single collection between two samples, as an upper bound.",
  format: seconds,
  floor: 0.01,
  layers: (window) => [line("gcMax", "longest pause", window.values("gcMax"), "line-1")],
};

const loop: Topic = {
  id: "loop",
  title: "Event loop delay",
  about: "How late timers run. Above 100 ms requests wait noticeably.",
  format: seconds,
  floor: 0.02,
  layers: (window) => [
    line("loopMax", "max", window.values("loopMax"), "line-3"),
    line("loopP99", "p99", window.values("loopP99"), "line-2"),
    line("loopP50", "p50", window.values("loopP50"), "line-1"),
  ],
};

const utilization: Topic = {
  id: "utilization",
  title: "Event loop utilization",
  about: "Share of time in which the loop was busy: above 95 % no room is left.",
  format: ratio,
  floor: 1,
  ceiling: 1,
  layers: (window) => [line("loopUtilization", "utilization", window.values("loopUtilization"), "line-1")],
};

/** In the order of the page. */
export const TOPICS: readonly Topic[] = [memory, heap, spaces, collection, pauses, loop, utilization];

// What the agent sends. Bytes are integers, times are seconds (`at`, `wall` and `startedAt` Unix), ratios have 1.0 as
// all of it; what is not known is null.

export const STATES = ["unknown", "starting", "healthy", "degraded", "unhealthy", "draining", "restarting"] as const;
/** The number of a state in the history is its place here. */
export type State = (typeof STATES)[number];

export type Known = number | null;

export interface Slot {
  process: string;
  worker: string;
}

/** One process in the list. */
export interface Listed extends Slot {
  state: string;
  stateAge: Known;
  reasons: string[];
  restart: string | null;
  held: string | null;
  pressure: Known;
  nearer: "heap" | "container" | null;
  heapUsed: Known;
  heapLimit: Known;
  rss: Known;
  containerMemory: Known;
  containerLimit: Known;
  sampleAge: Known;
  startedAt: Known;
  node: string | null;
  pid: Known;
}

export interface Overview {
  at: number;
  version: string;
  /** Seconds between samples. */
  interval: number;
  /** Seconds between overviews: more where there are many processes. */
  pace: number;
  status: string;
  more: number;
  processes: Listed[];
}

export interface HistoryEvent extends Slot {
  columns: string[];
  rows: string;
}

export interface PointEvent {
  row: Known[];
}

/** The parts of a process's full view that are shown, as `/processes/NAME` gives them. */
export interface Detail extends Slot {
  status: string;
  stateAge: Known;
  reasons: { text: string }[];
  pressure: { ratio: Known; nearer: "heap" | "container" | null };
  memoryUsage: { rss: Known; heapUsed: Known };
  heapEffectiveLimit: Known;
  containerMemory: Known;
  containerLimit: Known;
  sampleAge: Known;
  startedAt: Known;
  node: string | null;
  pid: Known;
  script: string | null;
  restart: { stage: string; stageAge: Known; text: string; method: string; note: string } | null;
  held: { text: string; wanted: string } | null;
  isolates: unknown[];
}

/** One line of the journal. */
export interface Entry extends Slot {
  wall: number;
  kind: string;
  what: string;
  text: string;
  restart: string;
}

/** The same as the list has it. It comes at each tick, and the list less often when it is long, or without the last. */
export function listed(detail: Detail): Listed {
  const { pressure, memoryUsage, restart, held, reasons } = detail;
  return {
    process: detail.process,
    worker: detail.worker,
    state: detail.status,
    stateAge: detail.stateAge,
    reasons: reasons.map(({ text }) => text),
    restart: restart?.stage ?? null,
    held: held?.text ?? null,
    pressure: pressure.ratio,
    nearer: pressure.nearer,
    heapUsed: memoryUsage.heapUsed,
    heapLimit: detail.heapEffectiveLimit,
    rss: memoryUsage.rss,
    containerMemory: detail.containerMemory,
    containerLimit: detail.containerLimit,
    sampleAge: detail.sampleAge,
    startedAt: detail.startedAt,
    node: detail.node,
    pid: detail.pid,
  };
}

export function asState(text: string): State {
  return (STATES as readonly string[]).includes(text) ? (text as State) : "unknown";
}

export function same(one: Slot, other: Slot): boolean {
  return one.process === other.process && one.worker === other.worker;
}

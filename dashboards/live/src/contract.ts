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
  interval: number;
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

/** The parts of a process's full view that are shown; each may be missing. */
export interface Detail {
  script?: string | null;
  uid?: Known;
  v8?: string | null;
  threads?: Known;
  markCompactShare?: Known;
  restart?: { stage: string; stageAge: Known; text: string; method: string; note: string } | null;
  held?: { code: string; text: string; wanted: string } | null;
  sources?: Record<string, string>;
  isolates?: unknown[];
}

/** One line of the journal. */
export interface Entry extends Slot {
  wall: number;
  kind: string;
  what: string;
  text: string;
  restart: string;
}

export function asState(text: string): State {
  return (STATES as readonly string[]).includes(text) ? (text as State) : "unknown";
}

export function same(one: Slot, other: Slot): boolean {
  return one.process === other.process && one.worker === other.worker;
}

// Which of two states needs attention first.

import { STATES, type State } from "./contract";

const WORST_FIRST: readonly State[] = [
  "unhealthy",
  "restarting",
  "draining",
  "degraded",
  "unknown",
  "starting",
  "healthy",
];

/** 0 is the worst. */
export function severity(state: State): number {
  return WORST_FIRST.indexOf(state);
}

/** The worse of two states by their numbers. */
export function worse(one: number, other: number): number {
  return severity(stateOf(one)) <= severity(stateOf(other)) ? one : other;
}

export function stateOf(number: number | null): State {
  return STATES[number ?? 0] ?? "unknown";
}

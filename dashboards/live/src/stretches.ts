// How long a process was in which state.

import type { Known, State } from "./contract";
import { stateOf } from "./severity";

export interface Stretch {
  state: State;
  from: number;
  to: number;
}

/** Neighbouring rows of one state, joined; a state lasts until the next row, and the last one until `end`. */
export function stretches(times: readonly number[], states: readonly Known[], end: number): Stretch[] {
  const found: Stretch[] = [];
  times.forEach((time, row) => {
    const number = states[row] ?? null;
    const last = found[found.length - 1];
    if (last && last.to === Number.POSITIVE_INFINITY) last.to = time;
    if (number === null) return;
    const state = stateOf(number);
    if (last && last.to === time && last.state === state) last.to = Number.POSITIVE_INFINITY;
    else found.push({ state, from: time, to: Number.POSITIVE_INFINITY });
  });
  const last = found[found.length - 1];
  if (last && last.to === Number.POSITIVE_INFINITY) last.to = Math.max(last.from, end);
  return found;
}

/** Seconds in each state, longest first. */
export function durations(found: readonly Stretch[], since: number): [State, number][] {
  const sums = new Map<State, number>();
  for (const { state, from, to } of found)
    sums.set(state, (sums.get(state) ?? 0) + Math.max(0, to - Math.max(from, since)));
  return [...sums].filter(([, seconds]) => seconds > 0).sort((one, other) => other[1] - one[1]);
}

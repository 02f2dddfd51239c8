// Figures as a table: what the charts show, for who reads rather than looks. Rows are evenly spread over the range.

import type { Known } from "./contract";
import { make } from "./dom";
import { bytes, clock, ratio, seconds } from "./format";
import { stateOf } from "./severity";
import type { Range, Window } from "./window";

const ROWS = 12;

const COLUMNS: readonly (readonly [string, string, (value: Known) => string])[] = [
  ["state", "State", (value) => (value === null ? "–" : stateOf(value))],
  ["pressure", "Pressure", ratio],
  ["rss", "RSS", bytes],
  ["heapUsed", "Heap used", bytes],
  ["heapLive", "Live set", bytes],
  ["external", "External", bytes],
  ["gcMax", "Longest pause", seconds],
  ["loopP99", "Loop p99", seconds],
  ["loopUtilization", "Loop busy", ratio],
];

/** Newest first. */
export function fillTable(table: HTMLTableElement, window: Window, range: Range): void {
  const columns = COLUMNS.filter(([name]) => window.has(name)).map(([name, label, format]) => ({
    label,
    format,
    values: window.values(name),
  }));
  const head = make(
    "tr",
    {},
    ...["Time", ...columns.map(({ label }) => label)].map((label) => make("th", { scope: "col" }, label)),
  );
  const rows = spread(window.times, range).map((row) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, clock(window.times[row] ?? 0, range.to)),
      ...columns.map(({ format, values }) => make("td", {}, format(values[row] ?? null))),
    ),
  );
  table.tHead?.replaceChildren(head);
  table.tBodies[0]?.replaceChildren(...rows);
}

/** Indices of rows at evenly spread times of what is known of the range, newest first, none twice. */
export function spread(times: readonly number[], range: Range): number[] {
  const found: number[] = [];
  const from = Math.max(range.from, times[0] ?? range.from);
  const to = Math.min(range.to, times[times.length - 1] ?? range.to);
  for (let step = 0; step < ROWS; step += 1) {
    const wanted = to - ((to - from) * step) / ROWS;
    let row = times.length - 1;
    while (row > 0 && (times[row] ?? 0) > wanted) row -= 1;
    if (row >= 0 && found[found.length - 1] !== row) found.push(row);
  }
  return found;
}

// The rows of a history that a chart shows, with a gap where figures are missing for long, so that no line is drawn
// across.

import type { Known } from "./contract";
import { fold, type History } from "./rows";

const COARSE_GAP_SECONDS = 150;
const MINUTE = 60;
/** From so long a range on, fine rows are shown by the minute, as the coarse ones before them are. */
const LONG_SECONDS = 1200;

export interface Range {
  from: number;
  to: number;
}

/** Rows from `from`, and before `to`; a gap has none. */
interface Step {
  from: number;
  to: number;
}

export class Window {
  readonly times: number[] = [];
  private readonly steps: Step[] = [];

  /** One row more on each side, so that lines reach the edges. A gap is more than `fineGap` seconds between samples. */
  constructor(
    private readonly history: History,
    range: Range,
    fineGap: number,
  ) {
    const long = range.to - range.from > LONG_SECONDS;
    const last = Math.min(history.length, history.since(range.to) + 1);
    for (let row = Math.max(0, history.since(range.from) - 1); row < last;) {
      const to = long ? this.endOfMinute(row, last) : row + 1;
      const before = this.steps.length ? this.time(row - 1) : undefined;
      const most = history.isCoarse(row - 1) ? Math.max(COARSE_GAP_SECONDS, fineGap) : fineGap;
      if (before !== undefined && this.time(row) - before > most) this.add((this.time(row) + before) / 2, row, row);
      this.add(this.time(to - 1), row, to);
      row = to;
    }
  }

  /** Of the minute that a fine row is in; the newest row stands alone, for its figures are those of now. */
  private endOfMinute(row: number, last: number): number {
    const newest = this.history.length - 1;
    if (this.history.isCoarse(row) || row >= newest) return row + 1;
    const next = (Math.floor(this.time(row) / MINUTE) + 1) * MINUTE;
    return Math.min(last, newest, Math.max(row + 1, this.history.since(next)));
  }

  private time(row: number): number {
    return this.history.times[row] ?? 0;
  }

  private add(time: number, from: number, to: number): void {
    this.times.push(time);
    this.steps.push({ from, to });
  }

  has(name: string): boolean {
    return this.history.column(name) !== undefined;
  }

  /** Names of the columns that begin so. */
  named(prefix: string): string[] {
    return this.history.columns.filter((name) => name.startsWith(prefix));
  }

  /** A column's figures at `times`. */
  values(name: string): Known[] {
    const column = this.history.column(name) ?? [];
    return this.steps.map(({ from, to }) =>
      to - from === 1 ? (column[from] ?? null) : fold(name, column.slice(from, to)),
    );
  }

  /** A column of sums since the row before, as a rate: seconds a second are a share of time. */
  rates(name: string): Known[] {
    const sums = this.values(name);
    return this.steps.map(({ from, to }, index) => {
      const sum = sums[index] ?? null;
      const passed = this.time(to - 1) - this.time(from - 1);
      return from < 1 || sum === null || !(passed > 0) ? null : sum / passed;
    });
  }
}

// The rows of a history that a chart shows, with a row of nothing where figures are missing for long, so that no line
// is drawn across.

import type { Known } from "./contract";
import type { History } from "./rows";

const COARSE_GAP_SECONDS = 150;

export interface Range {
  from: number;
  to: number;
}

export class Window {
  readonly times: number[] = [];
  /** Row of the history for each time; -1 is a gap. */
  private readonly rows: number[] = [];

  /** One row more on each side, so that lines reach the edges. A gap is more than `fineGap` seconds between samples. */
  constructor(
    private readonly history: History,
    range: Range,
    fineGap: number,
  ) {
    const first = Math.max(0, history.since(range.from) - 1);
    const last = Math.min(history.length, history.since(range.to) + 1);
    for (let row = first; row < last; row += 1) {
      const time = history.times[row] ?? 0;
      const before = history.times[row - 1];
      const most = history.isCoarse(row - 1) ? Math.max(COARSE_GAP_SECONDS, fineGap) : fineGap;
      if (row > first && before !== undefined && time - before > most) this.add((time + before) / 2, -1);
      this.add(time, row);
    }
  }

  private add(time: number, row: number): void {
    this.times.push(time);
    this.rows.push(row);
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
    const column = this.history.column(name);
    return this.rows.map((row) => (row < 0 ? null : (column?.[row] ?? null)));
  }

  /** A column of sums since the row before, as a rate: seconds a second are a share of time. */
  rates(name: string): Known[] {
    const column = this.history.column(name);
    return this.rows.map((row) => {
      const sum = column?.[row];
      const passed = (this.history.times[row] ?? 0) - (this.history.times[row - 1] ?? Number.NaN);
      return row < 1 || sum === null || sum === undefined || !(passed > 0) ? null : sum / passed;
    });
  }
}

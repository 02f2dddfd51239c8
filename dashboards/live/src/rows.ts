// History of one process: columns by name, oldest row first. Fine rows (one a sample) of the last ten minutes, and
// before them coarse ones (one a minute) of up to twelve hours, as the agent keeps it: a page that stays open for days
// holds no more than one that was just opened.

import type { Known } from "./contract";
import { worse } from "./severity";

const FINE_SECONDS = 600;
const MINUTE = 60;
const KEPT_SECONDS = 12 * 3600;
const TIME_BYTES = 8;
const FIGURE_BYTES = 4;

/** Rows of little-endian float64 time and float32 figures, in base64. Throws a RangeError when they are cut short. */
export function decode(columns: readonly string[], base64: string): Known[][] {
  const text = atob(base64);
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const stride = TIME_BYTES + FIGURE_BYTES * (columns.length - 1);
  const rows: Known[][] = [];
  for (let at = 0; at < bytes.length; at += stride) {
    const row: Known[] = [view.getFloat64(at, true)];
    for (let column = 1; column < columns.length; column += 1) {
      const figure = view.getFloat32(at + TIME_BYTES + FIGURE_BYTES * (column - 1), true);
      row.push(Number.isNaN(figure) ? null : figure);
    }
    rows.push(row);
  }
  return rows;
}

export class History {
  /** By column; all of one length. */
  private readonly figures: Known[][];
  /** Index of the first fine row. */
  private fine: number;

  constructor(
    readonly columns: readonly string[],
    rows: readonly Known[][],
  ) {
    this.figures = columns.map((_, column) => rows.map((row) => row[column] ?? null));
    this.fine = this.since(this.newest - FINE_SECONDS);
  }

  get length(): number {
    return this.times.length;
  }

  get times(): number[] {
    return (this.figures[0] ?? []) as number[];
  }

  /** Time of the last row; before all times without any. */
  get newest(): number {
    return this.times[this.length - 1] ?? Number.NEGATIVE_INFINITY;
  }

  /** Figures of a column; undefined where the agent does not send it. */
  column(name: string): Known[] | undefined {
    const at = this.columns.indexOf(name);
    return at < 0 ? undefined : this.figures[at];
  }

  /** Index of the first row at or after a time. */
  since(time: number): number {
    let low = 0;
    for (let high = this.length; low < high;) {
      const middle = (low + high) >> 1;
      if ((this.times[middle] ?? 0) < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  isCoarse(row: number): boolean {
    return row < this.fine;
  }

  /** One more fine row, unless it is not newer than the last one. */
  append(row: readonly Known[]): void {
    const time = row[0];
    if (time === null || time === undefined || time <= this.newest) return;
    this.figures.forEach((values, column) => values.push(row[column] ?? null));
    while (
      this.fine < this.length &&
      Math.floor((this.times[this.fine] ?? time) / MINUTE + 1) * MINUTE <= time - FINE_SECONDS
    )
      this.fold();
    this.drop(this.since(time - KEPT_SECONDS));
  }

  /** Makes one coarse row of the minute that the first fine row is in. */
  private fold(): void {
    const from = this.fine;
    const minute = Math.floor((this.times[from] ?? 0) / MINUTE);
    const to = this.since((minute + 1) * MINUTE);
    this.figures.forEach((values, column) => {
      const folded = fold(this.columns[column] ?? "", values.slice(from, to));
      values.splice(from, to - from, folded);
    });
    this.fine = from + 1;
  }

  private drop(rows: number): void {
    if (!rows) return;
    for (const values of this.figures) values.splice(0, rows);
    this.fine = Math.max(0, this.fine - rows);
  }
}

/** The last time, the worst state, sums of what was collected, and the largest of each gauge. */
export function fold(column: string, values: readonly Known[]): Known {
  const known = values.filter((value): value is number => value !== null);
  if (!known.length) return null;
  if (column === "state") return known.reduce(worse);
  if (column.startsWith("gc") && column !== "gcMax") return known.reduce((sum, value) => sum + value, 0);
  return Math.max(...known);
}

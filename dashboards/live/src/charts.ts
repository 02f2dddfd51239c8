// All charts of one process, and the range of time that they share.

import { Band } from "./band";
import { Chart } from "./chart";
import type { Slot } from "./contract";
import { byId, make, set, show, write } from "./dom";
import { clock } from "./format";
import type { Journal } from "./journal";
import { marksOf, within } from "./marks";
import type { Gestures, Shared } from "./plot";
import type { History } from "./rows";
import { TOPICS } from "./subjects";
import { fillTable } from "./table";
import { type Range, Window } from "./window";

const RANGES = [
  ["10 min", 600],
  ["1 h", 3600],
  ["12 h", 43_200],
] as const;
/** The shortest range is shorter still while a process is new, so that its first minutes fill the charts. */
const LEAST_SECONDS = 60;
/** Samples may be missing for so many intervals before a line breaks. */
const GAP_INTERVALS = 5;
const LEAST_GAP_SECONDS = 15;

export class Charts implements Gestures {
  private readonly band = new Band(this);
  private readonly charts = TOPICS.map((topic) => ({ topic, chart: new Chart(topic, this) }));
  private readonly grid = byId("charts");
  private readonly live = byId("range-live") as HTMLButtonElement;
  private readonly cursor = byId("cursor");
  private readonly table = byId("figures") as HTMLDetailsElement;
  private seconds: number = RANGES[0][1];
  private zoom: Range | null = null;
  private now = Date.now() / 1000;

  constructor(private readonly changed: () => void) {
    byId("band").append(this.band.element);
    this.grid.append(...this.charts.map(({ chart }) => chart.element));
    this.buttons();
    this.live.addEventListener("click", () => this.zoomed(null));
    this.table.addEventListener("toggle", () => this.changed());
    new ResizeObserver(() => this.fit()).observe(this.grid);
  }

  /** `now` is the agent's time; `interval` that of its samples, seconds. */
  update(history: History | null, slot: Slot, journal: Journal, now: number, interval: number): void {
    this.now = now;
    const known = history !== null && history.length > 0;
    show(byId("past"), known);
    show(byId("no-past"), history !== null && !known);
    if (!known) return;
    const range = this.zoom ?? lastly(this.seconds, history, now);
    const marks = within(marksOf(journal.entries, slot), range);
    const shared: Shared = { range, marks, now };
    const gap = Math.max(LEAST_GAP_SECONDS, GAP_INTERVALS * interval);
    const window = new Window(history, range, gap);
    this.band.update(window.times, window.values("state"), history.newest + interval, shared);
    for (const { topic, chart } of this.charts) chart.update(window.times, topic.layers(window), shared);
    set(this.grid, "data-rows", String(window.times.length));
    if (this.table.open) fillTable(byId("figures-table") as HTMLTableElement, window, range);
  }

  /** In the colours of now. */
  repaint(): void {
    this.band.repaint();
    for (const { chart } of this.charts) chart.repaint();
  }

  /** Lets go of the canvases while the list is shown. */
  forget(): void {
    this.zoom = null;
    show(this.live, false);
    this.band.forget();
    for (const { chart } of this.charts) chart.forget();
  }

  pointed(time: number | null): void {
    write(this.cursor, time === null ? "" : `at ${clock(time, this.now)}`);
  }

  zoomed(range: Range | null): void {
    this.zoom = range;
    show(this.live, range !== null);
    this.changed();
  }

  private fit(): void {
    this.band.fit();
    for (const { chart } of this.charts) chart.fit();
  }

  private buttons(): void {
    for (const [label, seconds] of RANGES) {
      const input = make("input", { type: "radio", name: "range", value: String(seconds) });
      input.checked = seconds === this.seconds;
      input.addEventListener("change", () => {
        this.seconds = seconds;
        this.zoomed(null);
      });
      byId("ranges").append(make("label", {}, input, make("span", {}, label)));
    }
  }
}

function lastly(seconds: number, history: History, now: number): Range {
  const from = now - seconds;
  if (seconds > RANGES[0][1]) return { from, to: now };
  return { from: Math.max(from, Math.min(history.times[0] ?? from, now - LEAST_SECONDS)), to: now };
}

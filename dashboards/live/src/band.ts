// The state of health over time, as one band: colour, and the word where there is room for it.

import uPlot from "uplot";
import type { Known } from "./contract";
import { make, set } from "./dom";
import { age } from "./format";
import { axisWidth, colour, fit, type Gestures, options, type Shared } from "./plot";
import { stateOf } from "./severity";
import { durations, type Stretch, stretches } from "./stretches";

const HEIGHT = 72;

export class Band {
  readonly element: HTMLElement;
  private readonly place = make("div", { class: "plot", role: "img" });
  private readonly legend = make("p", { class: "legend" });
  private plot: uPlot | null = null;
  private times: number[] = [];
  private states: Known[] = [];
  private found: Stretch[] = [];
  private shared: Shared = { range: { from: 0, to: 1 }, marks: [], now: 0 };

  constructor(private readonly gestures: Gestures) {
    const heading = make("figcaption", {}, make("h3", {}, "Health"));
    this.element = make("figure", { class: "chart band", "data-chart": "health" }, heading, this.legend, this.place);
  }

  /** `end` is how far the newest state is known to hold. */
  update(times: number[], states: Known[], end: number, shared: Shared): void {
    [this.times, this.states, this.shared] = [times, states, shared];
    this.found = stretches(times, states, Math.min(end, shared.range.to));
    if (!this.plot) this.plot = new uPlot(this.options(), this.data(), this.place);
    else this.plot.setData(this.data());
    this.fit();
    this.write(null);
    const told = durations(this.found, shared.range.from).map(([state, seconds]) => `${state} ${age(seconds)}`);
    const marks = shared.marks.length ? ` Marks: ${shared.marks.map((mark) => mark.label).join(", ")}.` : "";
    set(this.place, "aria-label", `Health over this time: ${told.join(", ") || "nothing known"}.${marks}`);
    set(this.element, "data-marks", String(shared.marks.length));
  }

  repaint(): void {
    this.forget();
    this.plot = new uPlot(this.options(), this.data(), this.place);
    this.fit();
  }

  forget(): void {
    this.plot?.destroy();
    this.plot = null;
  }

  fit(): void {
    if (this.plot) fit(this.plot, this.place);
  }

  private data(): uPlot.AlignedData {
    return [this.times, this.states];
  }

  private options(): uPlot.Options {
    return options(HEIGHT, () => this.shared, this.gestures, {
      series: [{}, { paths: () => null, points: { show: false }, stroke: "transparent" }],
      axes: [{ show: true, size: axisWidth, values: () => [], grid: { show: false }, ticks: { show: false } }],
      scales: { y: { range: () => [0, 1] } },
      hooks: {
        draw: [(plot) => paint(plot, this.found)],
        setCursor: [(plot) => this.pointed(plot)],
      },
    });
  }

  private pointed(plot: uPlot): void {
    const row = (plot.cursor.left ?? -1) >= 0 ? (plot.cursor.idx ?? null) : null;
    this.write(row);
    this.gestures.pointed(row === null ? null : (this.times[row] ?? null));
  }

  private write(row: number | null): void {
    const number = row === null ? null : (this.states[row] ?? null);
    const parts = durations(this.found, this.shared.range.from).map(([state, seconds]) => `${state} ${age(seconds)}`);
    const text = row === null ? parts.join(" · ") : number === null ? "not watched" : stateOf(number);
    if (this.legend.textContent !== text) this.legend.textContent = text;
  }
}

function paint(plot: uPlot, found: readonly Stretch[]): void {
  const { ctx, bbox } = plot;
  const scale = uPlot.pxRatio;
  const edge = (time: number): number =>
    Math.min(bbox.left + bbox.width, Math.max(bbox.left, plot.valToPos(time, "x", true)));
  ctx.save();
  ctx.font = `600 ${11 * scale}px system-ui, sans-serif`;
  ctx.textBaseline = "middle";
  ctx.textAlign = "center";
  for (const { state, from, to } of found) {
    const [left, right] = [edge(from), edge(to)];
    if (right <= left) continue;
    ctx.fillStyle = colour(`state-${state}`);
    ctx.fillRect(left, bbox.top, Math.max(scale, right - left), bbox.height);
    if (ctx.measureText(state).width + 8 * scale > right - left) continue;
    ctx.fillStyle = colour("on-state");
    ctx.fillText(state, (left + right) / 2, bbox.top + bbox.height / 2);
  }
  ctx.restore();
}

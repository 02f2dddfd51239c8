// One chart: layers that are stacked, lines, and limits; a legend with the newest values, or those at the cursor.

import uPlot from "uplot";
import type { Known } from "./contract";
import { make, set, show, write } from "./dom";
import { UNKNOWN } from "./format";
import { axis, axisWidth, colour, fit, type Gestures, options, type Shared } from "./plot";
import { stacked } from "./stacks";

export interface Layer {
  /** For tests and tools: `data-series` of its place in the legend. */
  key: string;
  label: string;
  values: Known[];
  kind: "area" | "line" | "limit";
  /** Name of a colour of the style sheet, without the dashes. */
  colour: string;
}

export interface Subject {
  id: string;
  title: string;
  /** What is normal, and what is not. */
  about: string;
  format: (value: Known) => string;
  /** The y axis reaches at least so far. */
  floor: number;
  /** It never reaches farther. */
  ceiling?: number;
  binary?: boolean;
  height?: number;
}

const HEIGHT = 180;
const HEADROOM = 1.08;
/** A limit is drawn once a quarter of it is used: before, it would press the figures to the ground. */
const LIMIT_IN_SIGHT = 4;
const BINARY_STEPS = Array.from({ length: 35 }, (_, power) => 2 ** (power + 10));

export class Chart {
  readonly element: HTMLElement;
  private readonly place = make("div", { class: "plot", role: "img" });
  private readonly legend = make("ul", { class: "legend" });
  private readonly nothing = make("p", { class: "nothing" }, "Nothing known in this time.");
  private plot: uPlot | null = null;
  private drawn = "";
  private layers: Layer[] = [];
  private times: number[] = [];
  private top = 1;
  private shared: Shared = { range: { from: 0, to: 1 }, marks: [], now: 0 };
  private items: LegendItem[] = [];

  constructor(
    private readonly subject: Subject,
    private readonly gestures: Gestures,
  ) {
    const title = make("h3", { id: `chart-${subject.id}` }, subject.title);
    const heading = make("figcaption", {}, title, make("p", { class: "about" }, subject.about));
    this.element = make(
      "figure",
      { class: "chart", "data-chart": subject.id },
      heading,
      this.legend,
      this.place,
      this.nothing,
    );
  }

  update(times: number[], layers: Layer[], shared: Shared): void {
    this.times = times;
    this.layers = layers;
    this.shared = shared;
    this.top = top(layers, this.subject);
    const known = layers.some((layer) => layer.kind !== "limit" && layer.values.some((value) => value !== null));
    show(this.nothing, !known);
    show(this.place, known);
    if (!known) this.forget();
    else this.draw();
    this.write(null);
  }

  /** Draws anew, in the colours of now. */
  repaint(): void {
    this.forget();
    if (!this.place.hidden) this.draw();
  }

  fit(): void {
    if (this.plot) fit(this.plot, this.place);
  }

  /** Lets go of the canvas and its listeners. */
  forget(): void {
    this.plot?.destroy();
    this.plot = null;
  }

  private draw(): void {
    const signature = this.layers.map((layer) => layer.key).join();
    if (signature !== this.drawn) this.forget();
    if (!this.plot) {
      this.drawn = signature;
      this.plot = new uPlot(this.options(), this.data(), this.place);
    } else {
      this.plot.setData(this.data());
    }
    this.fit();
  }

  /** Areas become their upper edges. */
  private data(): uPlot.AlignedData {
    const areas = this.layers.filter((layer) => layer.kind === "area").map((layer) => layer.values);
    const edges = stacked(areas);
    const lines = this.layers.filter((layer) => layer.kind !== "area").map((layer) => layer.values);
    return [this.times, ...edges, ...lines];
  }

  private options(): uPlot.Options {
    const { format, binary, height = HEIGHT } = this.subject;
    const areas = this.layers.filter((layer) => layer.kind === "area");
    const rest = this.layers.filter((layer) => layer.kind !== "area");
    const y: uPlot.Axis = {
      ...axis(),
      size: axisWidth,
      values: (_, marks) => marks.map((mark) => format(mark)),
      space: 34,
    };
    if (binary) y.incrs = BINARY_STEPS;
    return options(height, () => this.shared, this.gestures, {
      series: [{}, ...areas.map(area), ...rest.map(line)],
      bands: areas.slice(1).map((layer, index) => ({ series: [index + 2, index + 1], fill: filling(layer) })),
      axes: [y],
      scales: { y: { range: () => [0, this.top] } },
      hooks: { setCursor: [(plot) => this.pointed(plot)] },
    });
  }

  private pointed(plot: uPlot): void {
    const row = (plot.cursor.left ?? -1) >= 0 ? (plot.cursor.idx ?? null) : null;
    this.write(row);
    this.gestures.pointed(row === null ? null : (this.times[row] ?? null));
  }

  /** Values of a row, or the newest ones. */
  private write(row: number | null): void {
    if (this.items.map((item) => item.key).join() !== this.layers.map((layer) => layer.key).join()) {
      this.items = this.layers.map((layer) => new LegendItem(layer));
      this.legend.replaceChildren(...this.items.map((item) => item.element));
    }
    this.layers.forEach((layer, index) => {
      const value = row === null ? newest(layer.values) : (layer.values[row] ?? null);
      const beyond = layer.kind === "limit" && value !== null && value > this.top;
      this.items[index]?.write(value, `${this.subject.format(value)}${beyond ? " ↑" : ""}`, beyond);
    });
    if (row === null) set(this.place, "aria-label", this.summary());
  }

  /** The chart in words, for who does not see it. */
  private summary(): string {
    const { title, format } = this.subject;
    const told = this.layers.map((layer) => {
      const first = layer.values.find((value) => value !== null) ?? null;
      const last = newest(layer.values);
      const moved = layer.kind === "limit" || format(first) === format(last) ? "" : `, from ${format(first)}`;
      return last === null ? `${layer.label} ${UNKNOWN}` : `${layer.label} ${format(last)}${moved}`;
    });
    const marks = this.shared.marks.length ? ` Marks: ${this.shared.marks.map((mark) => mark.label).join(", ")}.` : "";
    return `${title}, newest values: ${told.join("; ")}.${marks}`;
  }
}

class LegendItem {
  readonly key: string;
  readonly element: HTMLElement;
  private readonly value = make("span", { class: "value" });

  constructor(layer: Layer) {
    this.key = layer.key;
    const swatch = make("span", { class: `swatch ${layer.kind}` });
    swatch.style.setProperty("--swatch", `var(--${layer.colour})`);
    this.element = make("li", { "data-series": layer.key }, swatch, layer.label, " ", this.value);
  }

  write(value: Known, text: string, beyond: boolean): void {
    write(this.value, text);
    set(this.value, "data-value", value === null ? "" : String(value));
    set(this.value, "title", beyond ? "above what the chart shows" : "");
  }
}

function area(layer: Layer, index: number): uPlot.Series {
  const fill = filling(layer);
  // All but the lowest are filled by bands, down to the edge below.
  return {
    label: layer.label,
    stroke: colour(layer.colour),
    width: 1,
    points: { show: false },
    ...(index ? {} : { fill }),
  };
}

/** A little of the ground and its grid shows through. */
function filling(layer: Layer): string {
  return `${colour(layer.colour)}d9`;
}

function line(layer: Layer): uPlot.Series {
  const limit = layer.kind === "limit" ? { dash: [6, 4], width: 1.5 } : { width: 2 };
  return { label: layer.label, stroke: colour(layer.colour), points: { show: false }, ...limit };
}

function newest(values: readonly Known[]): Known {
  for (let row = values.length - 1; row >= 0; row -= 1) {
    const value = values[row];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

function top(layers: readonly Layer[], subject: Subject): number {
  const highest = (values: readonly Known[]): number =>
    values.reduce<number>((most, value) => Math.max(most, value ?? 0), 0);
  const edges = stacked(layers.filter((layer) => layer.kind === "area").map((layer) => layer.values));
  const lines = layers.filter((layer) => layer.kind === "line").map((layer) => layer.values);
  let most = Math.max(0, ...[...edges.slice(-1), ...lines].map(highest));
  for (const layer of layers) {
    const limit = layer.kind === "limit" ? highest(layer.values) : 0;
    if (limit <= most * LIMIT_IN_SIGHT) most = Math.max(most, limit);
  }
  return Math.min(Math.max(most * HEADROOM, subject.floor), subject.ceiling ?? Number.POSITIVE_INFINITY);
}

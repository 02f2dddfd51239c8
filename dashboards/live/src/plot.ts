// What all charts have in common: one cursor, one range of time, marks, and colours that come from the style sheet.

import uPlot from "uplot";
import { clock } from "./format";
import type { Mark } from "./marks";
import type { Range } from "./window";

const SYNC = "live";
const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif';
const AXIS_WIDTH = 62;
const MARK_DASH = [4, 3];

export interface Shared {
  range: Range;
  marks: readonly Mark[];
  now: number;
}

export interface Gestures {
  /** The cursor stands at a time, or nowhere. */
  pointed(time: number | null): void;
  /** A range was drawn with the mouse; null asks for the newest again. */
  zoomed(range: Range | null): void;
}

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function axis(): uPlot.Axis {
  const grid = { stroke: colour("grid"), width: 1 };
  return { stroke: colour("muted"), font: FONT, grid, ticks: { ...grid, size: 4 }, gap: 4 };
}

function timeAxis(): uPlot.Axis {
  const values = (_: uPlot, times: number[], __: number, ___: number, step: number): string[] =>
    times.map((time) => clock(time, time, step < 60).slice(0, step < 60 ? 8 : 5));
  return { ...axis(), values, size: 26, space: 64 };
}

/** Options of a chart whose x is time in Unix seconds. */
export function options(
  height: number,
  shared: () => Shared,
  gestures: Gestures,
  own: Pick<uPlot.Options, "series" | "axes" | "scales" | "bands" | "hooks">,
): uPlot.Options {
  return {
    width: 100,
    height,
    padding: [14, 18, 0, 0],
    legend: { show: false },
    series: own.series,
    bands: own.bands ?? [],
    axes: [timeAxis(), ...(own.axes ?? [])],
    scales: { x: { time: true, range: () => [shared().range.from, shared().range.to] }, ...own.scales },
    cursor: cursor(gestures),
    hooks: {
      ...own.hooks,
      draw: [...(own.hooks?.draw ?? []), (plot) => drawMarks(plot, shared().marks)],
      setSelect: [(plot) => select(plot, gestures)],
    },
  };
}

function cursor(gestures: Gestures): uPlot.Cursor {
  return {
    y: false,
    points: { size: 7 },
    drag: { x: true, y: false, setScale: false, dist: 6 },
    bind: {
      dblclick: () => () => {
        gestures.zoomed(null);
        return null;
      },
    },
    sync: {
      key: SYNC,
      scales: ["x", null],
      setSeries: false,
      filters: { pub: (type) => !/mouse(up|down)|dblclick/.test(type) },
    },
  };
}

function select(plot: uPlot, gestures: Gestures): void {
  const { left, width } = plot.select;
  if (width <= 0) return;
  const range = { from: plot.posToVal(left, "x"), to: plot.posToVal(left + width, "x") };
  plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  gestures.zoomed(range);
}

/** Width of the room that the y axis takes, the same for all charts so that their times stand above each other. */
export const axisWidth = AXIS_WIDTH;

function drawMarks(plot: uPlot, marks: readonly Mark[]): void {
  const { ctx, bbox } = plot;
  const scale = uPlot.pxRatio;
  let free = Number.NEGATIVE_INFINITY;
  ctx.save();
  ctx.font = `${11 * scale}px system-ui, sans-serif`;
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left";
  for (const mark of marks) {
    const x = Math.round(plot.valToPos(mark.at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    const stroke = colour(mark.kind === "exit" ? "mark-exit" : "mark-restart");
    ctx.strokeStyle = stroke;
    ctx.fillStyle = stroke;
    ctx.lineWidth = 1.5 * scale;
    ctx.setLineDash(mark.kind === "exit" ? [] : MARK_DASH.map((part) => part * scale));
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    free = label(plot, mark.label, x, free);
  }
  ctx.restore();
}

/** Above the plotting area, pushed in at the right edge; left out where the one before it stands. */
function label(plot: uPlot, text: string, x: number, free: number): number {
  const { ctx, bbox } = plot;
  const width = ctx.measureText(text).width;
  const left = Math.max(bbox.left, Math.min(x - width / 2, bbox.left + bbox.width - width));
  if (left < free) return free;
  ctx.fillText(text, left, bbox.top - 1);
  return left + width + 8 * uPlot.pxRatio;
}

/** Fits a chart into its place; nothing while that is hidden. */
export function fit(plot: uPlot, place: HTMLElement): void {
  const width = Math.floor(place.clientWidth);
  if (width > 0 && width !== plot.width) plot.setSize({ width, height: plot.height });
}

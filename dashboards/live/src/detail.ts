// One process: its state in one look, what Heapwarden is about to do, and the figures of now.

import { Badge } from "./badge";
import { asState, type Detail, type Entry, type Listed, type Overview, type Slot } from "./contract";
import { byId, make, set, show, write } from "./dom";
import { age, bytes, clock, count, ratio, seconds, UNKNOWN, words } from "./format";
import { pair } from "./list";
import { restartUnderWay } from "./marks";
import { level } from "./pressure";
import type { History } from "./rows";

export interface Known {
  slot: Slot;
  /** Null where the process is not watched now. */
  listed: Listed | null;
  detail: Detail | null;
  history: History | null;
  entries: readonly Entry[];
}

const OLD_INTERVALS = 3;
const OLD_SECONDS = 15;
const NOT_WATCHED = "No process is watched under this name now. What was seen of it stays below.";

export class Head {
  private readonly badge = new Badge();
  private readonly tiles = new Map<string, Tile>();

  constructor() {
    byId("state").append(this.badge.element);
  }

  update({ slot, listed, detail, history, entries }: Known, { at: now, interval }: Overview): void {
    write(byId("name"), slot.process);
    write(byId("worker"), slot.worker === "0" ? "" : `worker ${slot.worker}`);
    const stage = listed ? null : restartUnderWay(entries, slot);
    const state = listed?.state ?? (stage ? "restarting" : "not watched");
    set(byId("head"), "data-state", asState(state));
    this.badge.update(state);
    write(byId("since"), listed && listed.stateAge !== null ? `for ${age(listed.stateAge)}` : "");
    write(
      byId("reason"),
      listed ? why(listed) : stage ? `It has ended for a restart; ${words(stage)} is awaited.` : NOT_WATCHED,
    );
    write(byId("nearer"), listed ? nearer(listed) : "");
    write(byId("next"), listed ? next(listed, detail) : "");
    set(byId("next"), "data-busy", String(Boolean(listed?.restart ?? listed?.held)));
    write(byId("about-process"), about(listed, detail, now));
    show(byId("look"), listed !== null);
    show(byId("tiles"), listed !== null);
    if (listed) this.writeTiles(listed, history, oldFrom(interval));
  }

  private writeTiles(listed: Listed, history: History | null, old: number): void {
    const last = (column: string): number | null => history?.column(column)?.slice(-1)[0] ?? null;
    const stale = listed.sampleAge;
    this.tile(
      "pressure",
      "Pressure",
      ratio(listed.pressure),
      listed.nearer ? `of ${listed.nearer}` : "",
      level(listed.pressure),
    );
    this.tile("heap", "Heap used", bytes(listed.heapUsed), of(listed.heapLimit));
    this.tile("live", "Live set", bytes(last("heapLive")), "after a major GC");
    this.tile("rss", "RSS", bytes(listed.rss), last("swap") ? `${bytes(last("swap"))} swapped out` : "resident memory");
    this.tile("container", "Container", bytes(listed.containerMemory), of(listed.containerLimit));
    this.tile("loop", "Loop delay p99", seconds(last("loopP99")), `max ${seconds(last("loopMax"))}`);
    this.tile("busy", "Loop busy", ratio(last("loopUtilization")), "utilization");
    this.tile(
      "sample",
      "Heap figures",
      stale === null ? UNKNOWN : `${age(stale)} old`,
      "newest sample",
      stale !== null && stale > old ? "warn" : "fine",
    );
  }

  private tile(key: string, name: string, value: string, note: string, mood = "fine"): void {
    let tile = this.tiles.get(key);
    if (!tile) {
      tile = new Tile(key, name);
      this.tiles.set(key, tile);
      byId("tiles").append(tile.element);
    }
    tile.write(value, note, mood);
  }
}

class Tile {
  readonly element: HTMLElement;
  private readonly value = make("span", { class: "value" });
  private readonly note = make("span", { class: "quiet" });

  constructor(key: string, name: string) {
    this.element = make("div", { "data-tile": key }, make("dt", {}, name), make("dd", {}, this.value, this.note));
  }

  write(value: string, note: string, mood: string): void {
    write(this.value, value);
    write(this.note, note);
    set(this.element, "data-level", mood);
  }
}

/** Seconds of age from which figures are old, where they are taken each `interval` seconds. */
export function oldFrom(interval: number): number {
  return Math.max(OLD_SECONDS, OLD_INTERVALS * interval);
}

function of(limit: number | null): string {
  return limit === null ? "no limit known" : `of ${bytes(limit)}`;
}

export function why(listed: Listed): string {
  if (listed.reasons.length) return listed.reasons.join(" · ");
  return listed.state === "healthy" ? "All figures are within their marks." : "";
}

export function nearer(listed: Listed): string {
  if (listed.pressure === null || !listed.nearer) return "No limit is known yet.";
  const used =
    listed.nearer === "heap"
      ? pair(listed.heapUsed, listed.heapLimit)
      : pair(listed.containerMemory, listed.containerLimit);
  return `${ratio(listed.pressure)} of the ${listed.nearer} limit (${used})`;
}

/** What Heapwarden does about it. */
export function next(listed: Listed, detail: Detail | null): string {
  const { restart, held } = detail ?? {};
  if (listed.restart) {
    if (!restart) return `Restarting now: ${words(listed.restart)}.`;
    const note = restart.note ? ` ${restart.note}` : "";
    return `Restarting now by ${words(restart.method)}: ${words(listed.restart)} for ${age(restart.stageAge)}. ${restart.text}.${note}`;
  }
  if (listed.held) {
    const wanted = held?.wanted ? `A restart is wanted (${held.wanted}) and held` : "A restart is wanted and held";
    return `${wanted}: ${listed.held}`;
  }
  return "No restart is under way or wanted.";
}

function about(listed: Listed | null, detail: Detail | null, now: number): string {
  if (!listed) return "";
  const started =
    listed.startedAt === null ? null : `up ${age(now - listed.startedAt)}, since ${clock(listed.startedAt, now)}`;
  const isolates = detail?.isolates.length ?? 0;
  const parts = [
    listed.pid === null ? null : `pid ${listed.pid}`,
    listed.node ? `Node ${listed.node.replace(/^v/, "")}` : null,
    started,
    isolates > 1 ? count(isolates - 1, "worker thread") : null,
    detail?.script ?? null,
  ];
  return parts.filter((part): part is string => Boolean(part)).join(" · ");
}

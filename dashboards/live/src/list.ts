// The table of processes, worst first. Rows are kept and changed in place: five hundred of them change each second.

import { Badge } from "./badge";
import { asState, type Known, type Listed, type Overview, type Slot } from "./contract";
import { byId, make, set, show, write } from "./dom";
import { age, bytes, count, ratio, UNKNOWN, words } from "./format";
import { level } from "./pressure";
import { link } from "./route";
import { severity } from "./severity";

/** From so many on there is a box to filter them. */
const MANY = 8;
/** Pressure that trembles within so much does not change the order. */
const STEP_RATIO = 0.05;

/** Made once: hundreds of names are compared each second. */
const NAMES = new Intl.Collator("en", { numeric: true });

export class List {
  private readonly element = byId("list");
  private readonly body = byId("rows");
  private readonly filter = byId("filter") as HTMLInputElement;
  private readonly box = byId("filter-box");
  private readonly note = byId("list-note");
  private readonly rows = new Map<string, Row>();
  private overview: Overview | null = null;

  constructor() {
    this.filter.addEventListener("input", () => this.render());
    const box = this.body;
    for (const event of ["mouseleave", "focusout"]) box.addEventListener(event, () => this.render());
  }

  show(shown: boolean): void {
    show(this.element, shown);
    if (shown) this.render();
  }

  /** Puts the reader back to where a process was chosen. */
  focus(slot: Slot): boolean {
    const row = this.rows.get(link(slot));
    row?.focus();
    return row !== undefined;
  }

  update(overview: Overview): void {
    this.overview = overview;
    if (!this.element.hidden) this.render();
  }

  private render(): void {
    if (!this.overview) return;
    const { processes, more, at } = this.overview;
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = processes.filter((process) => matches(process, wanted));
    show(this.box, processes.length >= MANY || wanted !== "");
    show(byId("table"), processes.length > 0);
    show(byId("no-processes"), processes.length === 0);
    write(this.note, note(processes.length, shown.length, more));
    this.renderRows(shown, at);
  }

  private renderRows(shown: Listed[], at: number): void {
    const left = new Set(this.rows.keys());
    for (const process of shown) {
      const key = link(process);
      left.delete(key);
      const row = this.rows.get(key) ?? this.add(key);
      row.update(process, at);
    }
    for (const key of left) this.remove(key);
    if (!this.held()) this.sort(shown);
  }

  private add(key: string): Row {
    const row = new Row(key);
    this.rows.set(key, row);
    this.body.append(row.element);
    return row;
  }

  private remove(key: string): void {
    this.rows.get(key)?.element.remove();
    this.rows.delete(key);
  }

  /** While somebody points at a row, none moves away from under the pointer. */
  private held(): boolean {
    return this.body.matches(":hover") || this.body.querySelector(":focus-visible") !== null;
  }

  private sort(shown: Listed[]): void {
    [...shown].sort(worstFirst).forEach((process, place) => {
      const row = this.rows.get(link(process));
      const there = this.body.children[place];
      if (row && there !== row.element) this.body.insertBefore(row.element, there ?? null);
    });
  }
}

export function worstFirst(one: Listed, other: Listed): number {
  return (
    severity(asState(one.state)) - severity(asState(other.state)) ||
    step(other) - step(one) ||
    NAMES.compare(one.process, other.process) ||
    NAMES.compare(one.worker, other.worker)
  );
}

function step(process: Listed): number {
  return Math.floor((process.pressure ?? -1) / STEP_RATIO);
}

export function matches(process: Listed, wanted: string): boolean {
  const { reasons, worker, state, pid } = process;
  const text = [process.process, worker, state, pid === null ? "" : String(pid), process.held ?? "", ...reasons].join(
    "\n",
  );
  return wanted.split(/\s+/).every((word) => text.toLowerCase().includes(word));
}

function note(all: number, shown: number, more: number): string {
  const hidden = more
    ? ` ${count(more, "more process", "more processes")} in better shape ${more === 1 ? "is" : "are"} left out.`
    : "";
  return (shown < all ? `${shown} of ${count(all, "process", "processes")}.` : "") + hidden;
}

class Row {
  readonly element: HTMLTableRowElement;
  private readonly badge = new Badge();
  private readonly name: HTMLAnchorElement;
  private readonly worker = make("span", { class: "worker" });
  private readonly since = make("span", { class: "quiet" });
  private readonly restart = make("span", { class: "chip" });
  private readonly reason = make("span", { class: "reason" });
  private readonly bar = make("span", { class: "bar", "aria-hidden": "true" });
  private readonly pressure = make("span");
  private readonly nearer = make("span", { class: "quiet" });
  private readonly heap = new Used("Heap");
  private readonly rss = make("td", { role: "cell", "data-label": "RSS", class: "figure rss" });
  private readonly container = new Used("Container");
  private readonly age = make("td", { role: "cell", "data-label": "Up", class: "figure up" });

  constructor(href: string) {
    this.name = make("a", { href });
    const cell = (name: string, ...children: Node[]): HTMLElement =>
      make("td", { role: "cell", class: name }, ...children);
    this.element = make(
      "tr",
      { role: "row" },
      cell("state", this.badge.element, this.since),
      make("th", { role: "rowheader", scope: "row", class: "name" }, this.name, this.worker),
      cell("why", this.restart, this.reason),
      cell("pressure", this.bar, this.pressure, this.nearer),
      this.heap.element,
      this.rss,
      this.container.element,
      this.age,
    );
  }

  focus(): void {
    this.name.focus();
  }

  update(process: Listed, at: number): void {
    const { restart, held, reasons, pressure } = process;
    set(this.element, "data-state", asState(process.state));
    this.badge.update(process.state);
    write(this.since, age(process.stateAge));
    write(this.name, process.process);
    write(this.worker, process.worker === "0" ? "" : process.worker);
    show(this.restart, Boolean(restart ?? held));
    write(this.restart, restart ? `restart: ${words(restart)}` : held ? "restart held" : "");
    write(this.reason, [...reasons, ...(held && !restart ? [held] : [])].join(" · "));
    this.bar.style.setProperty("--share", String(Math.min(1, pressure ?? 0)));
    set(this.bar, "data-level", level(pressure));
    write(this.pressure, ratio(pressure));
    write(this.nearer, process.nearer ? ` of ${process.nearer}` : "");
    this.heap.write(process.heapUsed, process.heapLimit);
    write(this.rss, bytes(process.rss));
    this.container.write(process.containerMemory, process.containerLimit);
    write(this.age, process.startedAt === null ? UNKNOWN : age(at - process.startedAt));
  }
}

/** A cell with bytes, and below them those that they may be at most. */
class Used {
  readonly element: HTMLElement;
  private readonly used = make("span");
  private readonly limit = make("span", { class: "quiet" });

  constructor(label: string) {
    this.element = make("td", { role: "cell", "data-label": label, class: "figure" }, this.used, " ", this.limit);
  }

  write(used: Known, limit: Known): void {
    write(this.used, bytes(used));
    write(this.limit, used === null || limit === null ? "" : `of ${bytes(limit)}`);
  }
}

/** Used of limit. */
export function pair(used: number | null, limit: number | null): string {
  if (used === null) return UNKNOWN;
  return limit === null ? bytes(used) : `${bytes(used)} / ${bytes(limit)}`;
}

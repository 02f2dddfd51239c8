// The page: what the stream brings, and where it is shown.

import "uplot/dist/uPlot.min.css";
import "./style.css";
import { Announcer } from "./announcer";
import {
  asState,
  type Detail,
  type Entry,
  type HistoryEvent,
  type Listed,
  listed,
  type Overview,
  type PointEvent,
  same,
  type Slot,
} from "./contract";
import { Charts } from "./charts";
import { AgentClock } from "./clock";
import { Connection } from "./connection";
import { Head } from "./detail";
import { byId, show, write } from "./dom";
import { count } from "./format";
import { Journal } from "./journal";
import { List } from "./list";
import { link, parse } from "./route";
import { decode, History } from "./rows";
import { choose, current, follow } from "./scheme";
import { severity } from "./severity";
import { type Listener, Stream } from "./stream";

class Page implements Listener {
  private readonly list = new List();
  private readonly head = new Head();
  private readonly journal = new Journal();
  private readonly announcer = new Announcer();
  private readonly charts = new Charts(() => this.draw());
  private readonly stream = new Stream(this);
  private readonly connection = new Connection();
  private overviewed: Overview | null = null;
  private detailed: Detail | null = null;
  private past: History | null = null;
  private target: Slot | null = null;
  private isGone = false;
  private readonly clock = new AgentClock();
  private opened = false;

  start(): void {
    this.theme();
    window.addEventListener("hashchange", () => this.go(true));
    document.addEventListener("visibilitychange", () => this.draw());
    window.setInterval(() => this.second(), 1000);
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault(); // the hash is the view's
      byId("main").focus();
    });
    this.go(false);
  }

  overview(event: Overview): void {
    if (this.overviewed && this.overviewed.version !== event.version) location.reload(); // another agent's page is another
    this.clock.told(event.at);
    this.announcer.take(event.processes, this.target);
    this.overviewed = event;
    this.list.update(event);
    this.summary(event);
    this.openTheOnly(event);
    this.draw();
  }

  history(event: HistoryEvent): void {
    this.past = new History(event.columns, decode(event.columns, event.rows));
    this.clock.atLeast(this.past.newest);
    this.draw();
  }

  point(event: PointEvent): void {
    this.past?.append(event.row);
    this.clock.atLeast(event.row[0] ?? Number.NEGATIVE_INFINITY);
    this.draw();
  }

  detail(event: Detail): void {
    this.detailed = event;
    this.isGone = false;
    this.draw();
  }

  entries(event: { entries: Entry[] }, first: boolean): void {
    this.journal.take(event.entries, first);
    this.draw();
  }

  gone(): void {
    this.detailed = null;
    this.isGone = true;
    this.draw();
  }

  connected(live: boolean): void {
    this.connection.update(live, this.stream.lastHeard);
  }

  refused(why: string): void {
    this.connection.refused(why);
  }

  private second(): void {
    this.stream.check();
    this.connection.tick();
    if (!this.connection.live) this.draw(); // time goes on, and the lines end
  }

  /** To what the address names. */
  private go(moved: boolean): void {
    const before = this.target;
    this.target = parse(location.hash);
    this.detailed = null;
    this.past = null;
    this.isGone = false;
    this.charts.forget();
    this.journal.take([], true);
    const detail = this.target !== null;
    show(byId("detail"), detail);
    show(byId("back"), detail);
    this.list.show(!detail);
    write(byId("entries-title"), this.target ? `Journal of ${this.target.process}` : "Journal");
    this.stream.watch(this.target);
    this.draw();
    if (moved) this.focus(before);
  }

  /** Where a reader goes on after a change of view. */
  private focus(before: Slot | null): void {
    window.scrollTo(0, 0);
    if (!this.target && before && this.list.focus(before)) return;
    byId(this.target ? "name" : "list-title").focus({ preventScroll: true });
  }

  /** A developer's only app needs no choosing. Once only: the way back to the list stays open. */
  private openTheOnly(event: Overview): void {
    const [only, ...others] = event.processes;
    if (!this.opened && !this.target && only && !others.length && !event.more)
      history.replaceState(null, "", link(only));
    const opens = !this.opened && parse(location.hash) !== null && !this.target;
    this.opened = true;
    if (opens) this.go(false);
  }

  private draw(): void {
    const { overviewed, target } = this;
    if (document.hidden || !overviewed) return;
    const shown = target ? this.shown(overviewed, target) : null;
    this.title(target, shown);
    if (!target) return;
    this.head.update(
      { slot: target, listed: shown, detail: this.detailed, history: this.past, entries: this.journal.entries },
      overviewed,
    );
    this.charts.update(this.past, target, this.journal, this.clock.now, overviewed.interval);
  }

  private shown(overview: Overview, target: Slot): Listed | null {
    if (this.detailed) return listed(this.detailed);
    return this.isGone ? null : (overview.processes.find((one) => same(one, target)) ?? null);
  }

  private title(target: Slot | null, shown: Listed | null): void {
    const told = target ? `${target.process}: ${shown?.state ?? "not watched"}` : (this.overviewed?.status ?? "");
    const title = `${told ? `${told} · ` : ""}Heapwarden`;
    if (document.title !== title) document.title = title;
  }

  private summary(event: Overview): void {
    const counts = new Map<string, number>();
    for (const { state } of event.processes) counts.set(state, (counts.get(state) ?? 0) + 1);
    const states = [...counts].sort(([one], [other]) => severity(asState(one)) - severity(asState(other)));
    const all = count(event.processes.length + event.more, "process", "processes");
    const worst = event.more ? `; the worst ${event.processes.length}` : "";
    write(
      byId("summary"),
      `${all}${worst}${states.length ? `: ${states.map(([state, number]) => `${number} ${state}`).join(", ")}` : ""}`,
    );
    write(byId("version"), `Heapwarden ${event.version}`);
  }

  private theme(): void {
    const button = byId("theme");
    const say = (): void => write(button, current() === "dark" ? "Light" : "Dark");
    const repaint = (): void => {
      say();
      if (this.target) this.charts.repaint();
    };
    button.addEventListener("click", () => {
      choose(current() === "dark" ? "light" : "dark");
      repaint();
    });
    follow(repaint);
    say();
  }
}

new Page().start();

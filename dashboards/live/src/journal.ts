// The last entries of the journal, newest first.

import type { Entry } from "./contract";
import { byId, make, set, show, write } from "./dom";
import { clock, words } from "./format";

const KEPT = 100;
const SHORT = 12;

export class Journal {
  entries: Entry[] = [];
  private readonly list = byId("entries");
  private readonly more = byId("entries-more") as HTMLButtonElement;
  private long = false;

  constructor() {
    this.more.addEventListener("click", () => {
      this.long = !this.long;
      this.render();
    });
  }

  /** The first ones of a connection take the place of all. */
  take(entries: Entry[], first: boolean): void {
    this.entries = [...(first ? [] : this.entries), ...entries].slice(-KEPT);
    this.render();
  }

  private render(): void {
    const newest = [...this.entries].reverse();
    const now = Date.now() / 1000;
    const shown = this.long ? newest : newest.slice(0, SHORT);
    this.list.replaceChildren(...shown.map((entry) => item(entry, now)));
    show(byId("no-entries"), newest.length === 0);
    show(this.more, newest.length > SHORT);
    set(this.more, "aria-expanded", String(this.long));
    write(this.more, this.long ? "Show fewer" : `Show all ${newest.length}`);
  }
}

function item(entry: Entry, now: number): HTMLElement {
  const time = make("time", { datetime: new Date(entry.wall * 1000).toISOString() }, clock(entry.wall, now));
  const who = entry.process
    ? make("span", { class: "who" }, entry.process + (entry.worker && entry.worker !== "0" ? ` ${entry.worker}` : ""))
    : null;
  const kind = make("span", { class: "kind" }, `${words(entry.kind)}: ${words(entry.what)}`);
  return make(
    "li",
    { "data-kind": entry.kind, "data-what": entry.what },
    time,
    kind,
    who,
    make("span", { class: "text" }, entry.text),
  );
}

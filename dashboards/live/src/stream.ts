// The agent's events. The browser reconnects by itself while it can; when it gives up (the answer was not a stream, as
// with 503), or when nothing has come for long, a new stream is opened here, later each time. A page that is out of sight
// gives its stream back after a while: the agent has few to give, and a browser six connections to one address.

import type { Detail, Entry, HistoryEvent, Overview, PointEvent, Slot } from "./contract";

const QUIET_MS = 10_000;
const DEAD_MS = 30_000;
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 30_000;
const UNSEEN_MS = 60_000;

export interface Listener {
  overview(event: Overview): void;
  history(event: HistoryEvent): void;
  point(event: PointEvent): void;
  detail(event: Detail): void;
  entries(event: { entries: Entry[] }, first: boolean): void;
  gone(event: Slot): void;
  /** Whether events come; called on each change. */
  connected(live: boolean): void;
  /** Why the agent sends no events, in its own words. */
  refused(why: string): void;
}

export class Stream {
  private source: EventSource | null = null;
  private target: Slot | null = null;
  private retry: number | undefined;
  private rest: number | undefined;
  private failures = 0;
  private live: boolean | null = null;
  private first = true;
  private heard = Date.now();
  private opened = Date.now();
  /** Milliseconds between overviews. */
  private pace = 1000;

  constructor(private readonly listener: Listener) {
    window.addEventListener("online", () => this.revive());
    document.addEventListener("visibilitychange", () => {
      this.revive();
      this.restUnseen();
    });
  }

  /** Watches the list, and one process if there is one. What was watched before is let go. */
  watch(target: Slot | null): void {
    this.target = target;
    this.open();
  }

  /** Milliseconds at which the last event came. */
  get lastHeard(): number {
    return this.heard;
  }

  /** To be called each second: silence without an error is a lost connection too, as after a laptop's sleep. */
  check(): void {
    if (!this.source) return;
    const silent = Date.now() - Math.max(this.heard, this.opened);
    if (silent > Math.max(QUIET_MS, 4 * this.pace)) this.is(false);
    if (silent > Math.max(DEAD_MS, 8 * this.pace) && this.retry === undefined) this.later();
  }

  private open(): void {
    this.close();
    this.restUnseen();
    this.opened = Date.now();
    const source = new EventSource(address(this.target));
    this.source = source;
    source.onopen = () => {
      this.first = true;
    };
    source.onerror = () => {
      this.is(false);
      if (source.readyState !== EventSource.CLOSED) return;
      this.later();
      void this.ask(source);
    };
    this.on<Overview>("overview", (event) => {
      this.pace = event.pace * 1000;
      this.listener.overview(event);
    });
    this.on<HistoryEvent>("history", (event) => this.listener.history(event));
    this.on<PointEvent>("point", (event) => this.listener.point(event));
    this.on<Detail>("detail", (event) => this.listener.detail(event));
    this.on<{ entries: Entry[] }>("entries", (event) => {
      this.listener.entries(event, this.first);
      this.first = false;
    });
    this.on<Slot>("gone", (event) => this.listener.gone(event));
  }

  private on<T>(name: string, then: (event: T) => void): void {
    const source = this.source;
    source?.addEventListener(name, (message: MessageEvent<string>) => {
      if (source !== this.source) return;
      this.failures = 0;
      this.heard = Date.now();
      this.is(true);
      then(JSON.parse(message.data) as T);
    });
  }

  private later(): void {
    this.source?.close();
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.failures) * (0.75 + Math.random() / 2);
    this.failures += 1;
    window.clearTimeout(this.retry);
    this.retry = window.setTimeout(() => this.open(), wait);
  }

  /** An EventSource does not tell why it was refused. */
  private async ask(source: EventSource): Promise<void> {
    const leaving = new AbortController();
    try {
      const answer = await fetch(source.url, { signal: leaving.signal, headers: { accept: "text/event-stream" } });
      const why = answer.ok ? null : await detail(answer);
      if (why && source === this.source) this.listener.refused(why);
    } catch {
      // nobody answers, which is said already
    } finally {
      leaving.abort();
    }
  }

  private revive(): void {
    if ((this.live === false || !this.source) && !document.hidden) this.open();
  }

  private restUnseen(): void {
    if (document.hidden) {
      this.rest ??= window.setTimeout(() => this.close(), UNSEEN_MS);
    } else {
      window.clearTimeout(this.rest);
      this.rest = undefined;
    }
  }

  private close(): void {
    window.clearTimeout(this.retry);
    this.retry = undefined;
    this.source?.close();
    this.source = null;
  }

  private is(live: boolean): void {
    if (live === this.live) return;
    this.live = live;
    this.listener.connected(live);
  }
}

/** In the agent's words, or in those of what stands before it. */
async function detail(answer: Response): Promise<string> {
  const body = (await answer.json().catch(() => null)) as { detail?: unknown } | null;
  return typeof body?.detail === "string" ? body.detail : `HTTP ${answer.status}`;
}

function address(target: Slot | null): string {
  if (!target) return "live/events";
  return `live/events?${new URLSearchParams({ process: target.process, worker: target.worker }).toString()}`;
}

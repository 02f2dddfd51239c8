import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import type { Overview } from "../src/contract";
import { Stream } from "../src/stream";

/** In the browser's place: what it was told, and what a test has it bring. */
class Source extends EventTarget {
  static readonly CLOSED = 2;
  static all: Source[] = [];
  readyState = 1;
  onopen: (() => void) | null = null;
  onerror: (() => void) | null = null;

  constructor(readonly url: string) {
    super();
    Source.all.push(this);
  }

  close(): void {
    this.readyState = Source.CLOSED;
  }

  overview(pace: number): void {
    const data = JSON.stringify({ interval: 1, pace, processes: [] } satisfies Partial<Overview>);
    this.dispatchEvent(new MessageEvent("overview", { data }));
  }

  refuse(): void {
    this.close();
    this.onerror?.();
  }
}

class Document extends EventTarget {
  hidden = false;

  look(here: boolean): void {
    this.hidden = !here;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

/** Seconds that pass when a test says so. */
class Clock {
  private timers = new Map<number, { at: number; run: () => void }>();
  private number = 0;
  now = 1e12;

  setTimeout = (run: () => void, wait: number): number => {
    this.number += 1;
    this.timers.set(this.number, { at: this.now + wait, run });
    return this.number;
  };

  clearTimeout = (timer: number | undefined): void => {
    if (timer !== undefined) this.timers.delete(timer);
  };

  pass(milliseconds: number): void {
    this.now += milliseconds;
    for (const [number, { at, run }] of this.timers)
      if (at <= this.now && this.timers.delete(number)) run();
  }
}

let clock = new Clock();
let told: (boolean | string)[] = [];
let page = new Document();
const nothing = (): void => undefined;
const listener = {
  overview: nothing,
  history: nothing,
  point: nothing,
  detail: nothing,
  entries: nothing,
  gone: nothing,
  connected: (live: boolean) => void told.push(live),
  refused: (why: string) => void told.push(why),
};

function open(): Stream {
  const stream = new Stream(listener);
  stream.watch(null);
  return stream;
}

function newest(): Source {
  const source = Source.all[Source.all.length - 1];
  assert(source);
  return source;
}

/** Seconds pass, each with its check. */
function pass(seconds: number, stream: Stream): void {
  for (let second = 0; second < seconds; second += 1) {
    clock.pass(1000);
    stream.check();
  }
}

beforeEach(() => {
  clock = new Clock();
  mock.method(Date, "now", () => clock.now);
  Source.all = [];
  told = [];
  page = new Document();
  const window = Object.assign(new EventTarget(), { setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout });
  Object.assign(globalThis, { EventSource: Source, document: page, window });
});

afterEach(() => mock.restoreAll());

test("a list that comes seldom, as one of thousands does, is no lost connection", () => {
  const stream = open();
  newest().overview(30);
  pass(100, stream);
  assert.deepEqual(told, [true]);
  pass(30, stream);
  assert.deepEqual(told, [true, false]);
});

test("a page that nobody has looked at for a while makes room for others, and comes back at once", () => {
  const stream = open();
  newest().overview(30);
  page.look(false);
  pass(59, stream);
  assert.equal(newest().readyState, 1);
  pass(600, stream);
  assert.deepEqual(
    Source.all.map((source) => source.readyState),
    [Source.CLOSED],
  );
  page.look(true);
  assert.equal(Source.all.length, 2);
  assert.equal(newest().readyState, 1);
});

test("a page that was opened out of sight makes room too", () => {
  page.hidden = true;
  pass(61, open());
  assert.equal(newest().readyState, Source.CLOSED);
});

test("why the agent refuses is asked, and told", async () => {
  const refusal = new Response(JSON.stringify({ detail: "too many are looking" }), { status: 503 });
  mock.method(globalThis, "fetch", () => Promise.resolve(refusal));
  open();
  newest().refuse();
  for (let turn = 0; turn < 20 && told.length < 2; turn += 1) await new Promise((done) => setImmediate(done));
  assert.deepEqual(told, [false, "too many are looking"]);
});

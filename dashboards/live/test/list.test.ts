import assert from "node:assert/strict";
import test from "node:test";
import type { Listed } from "../src/contract";
import { matches, worstFirst } from "../src/list";

function listed(process: string, worker: string, more: Partial<Listed> = {}): Listed {
  const unknown = { restart: null, held: null, pressure: null, nearer: null, heapUsed: null, heapLimit: null };
  const unseen = { rss: null, containerMemory: null, containerLimit: null, sampleAge: null, startedAt: null };
  return { process, worker, state: "healthy", stateAge: 1, reasons: [], node: null, pid: 7, ...unknown, ...unseen, ...more };
}

test("the worst first, then by pressure in steps, then by name, workers by number", () => {
  const wanted = [
    listed("z", "0", { state: "unhealthy" }),
    listed("y", "0", { pressure: 0.71 }),
    listed("api", "9", { pressure: 0.52 }),
    listed("api", "10", { pressure: 0.54 }),
    listed("Bank", "0", { pressure: 0.51 }),
  ];
  assert.deepEqual([...wanted].reverse().sort(worstFirst), wanted);
});

test("every word must be found, in whichever figure", () => {
  const one = listed("api", "1", { reasons: ["heap is near its limit"], pid: 4711 });
  assert(matches(one, "api near"));
  assert(matches(one, "4711"));
  assert(!matches(one, "api far"));
});

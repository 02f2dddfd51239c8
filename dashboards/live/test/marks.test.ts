import assert from "node:assert/strict";
import test from "node:test";
import type { Entry } from "../src/contract";
import { marksOf, restartUnderWay, within } from "../src/marks";

const SLOT = { process: "api", worker: "1" };

function entry(wall: number, kind: string, what: string, restart = "", worker = "1"): Entry {
  return { wall, kind, what, text: "", restart, process: "api", worker };
}

test("a restart is one mark, where it began, and its own exit none", () => {
  const entries = [
    entry(1, "restart", "drain", "r1"),
    entry(5, "restart", "terminate", "r1"),
    entry(6, "exit", "memory_restart", "r1"),
    entry(7, "restart", "done", "r1"),
    entry(9, "exit", "heap_oom"),
  ];
  assert.deepEqual(marksOf(entries, SLOT), [
    { at: 1, kind: "restart", label: "restart" },
    { at: 9, kind: "exit", label: "exit: heap oom" },
  ]);
});

test("a restart says how far it is, or how it failed", () => {
  const label = (what: string): string | undefined => marksOf([entry(1, "restart", what, "r1")], SLOT)[0]?.label;
  assert.equal(label("terminate"), "restart: terminate…");
  assert.equal(label("no_successor"), "restart: no successor");
  assert.equal(label("dry_run"), "restart: dry run");
});

test("another slot's and other kinds are no marks", () => {
  const entries = [entry(1, "exit", "crash", "", "2"), entry(2, "health", "degraded"), entry(3, "held", "budget")];
  assert.deepEqual(marksOf(entries, SLOT), []);
});

test("a restart is under way until its outcome", () => {
  const begun = [entry(1, "restart", "drain", "r1"), entry(2, "restart", "successor", "r1")];
  assert.equal(restartUnderWay(begun, SLOT), "successor");
  assert.equal(restartUnderWay([...begun, entry(3, "restart", "done", "r1")], SLOT), null);
  assert.equal(restartUnderWay([], SLOT), null);
});

test("only marks in the range are shown", () => {
  const marks = marksOf([entry(1, "exit", "crash"), entry(5, "exit", "crash")], SLOT);
  assert.deepEqual(
    within(marks, { from: 2, to: 5 }).map(({ at }) => at),
    [5],
  );
});

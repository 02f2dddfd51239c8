import assert from "node:assert/strict";
import test from "node:test";
import { stretches } from "../src/stretches";

test("neighbours of one state are joined, and the last one lasts until the end", () => {
  assert.deepEqual(stretches([0, 1, 2, 3], [2, 2, 3, 3], 5), [
    { state: "healthy", from: 0, to: 2 },
    { state: "degraded", from: 2, to: 5 },
  ]);
});

test("nothing is shown where nothing was seen", () => {
  assert.deepEqual(stretches([0, 1, 5, 9], [2, null, 2, null], 20), [
    { state: "healthy", from: 0, to: 1 },
    { state: "healthy", from: 5, to: 9 },
  ]);
  assert.deepEqual(stretches([], [], 5), []);
});

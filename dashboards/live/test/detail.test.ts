import assert from "node:assert/strict";
import test from "node:test";
import { oldFrom } from "../src/detail";

test("figures that are taken seldom are not old as soon", () => {
  assert.deepEqual([0.1, 1, 10, 60].map(oldFrom), [15, 15, 30, 180]);
});

import assert from "node:assert/strict";
import test from "node:test";
import { memoryParts, stacked } from "../src/stacks";

test("each byte of resident memory stands in one part", () => {
  const parts = memoryParts({ rss: [1000], heapUsed: [300], heapTotal: [400], external: [250], arrayBuffers: [150] });
  assert.deepEqual(parts, { heapUsed: [300], heapFree: [100], arrayBuffers: [150], external: [100], rest: [350] });
  assert.equal(
    Object.values(parts).reduce((sum, [value]) => sum + (value ?? 0), 0),
    1000,
  );
});

test("no part is below nothing: committed heap need not be resident, and figures are not of one moment", () => {
  const parts = memoryParts({ rss: [500], heapUsed: [450], heapTotal: [400], external: [250], arrayBuffers: [300] });
  assert.deepEqual(parts, { heapUsed: [450], heapFree: [0], arrayBuffers: [250], external: [0], rest: [0] });
});

test("where a figure is missing there are no parts at all, rather than a drop", () => {
  const parts = memoryParts({
    rss: [1, null],
    heapUsed: [null, 1],
    heapTotal: [1, 1],
    external: [1, 1],
    arrayBuffers: [1, 1],
  });
  for (const values of Object.values(parts)) assert.deepEqual(values, [null, null]);
});

test("a stack's edges are sums from the ground up, and a gap is one through all", () => {
  const edges = stacked([
    [1, null, null],
    [2, 5, null],
    [3, 6, null],
  ]);
  assert.deepEqual(edges, [
    [1, 0, null],
    [3, 5, null],
    [6, 11, null],
  ]);
});

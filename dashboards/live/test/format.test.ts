import assert from "node:assert/strict";
import test from "node:test";
import { age, bytes, clock, ratio, seconds } from "../src/format";

test("bytes have three digits, and never 1024 of a unit", () => {
  const said = [0, 999, 1023, 1024, 1536, 10_234_567, 1_048_575, 128 * 2 ** 20, 2 ** 40, null].map(bytes);
  assert.deepEqual(said, [
    "0 B",
    "999 B",
    "1023 B",
    "1.00 KiB",
    "1.50 KiB",
    "9.76 MiB",
    "1.00 MiB",
    "128 MiB",
    "1.00 TiB",
    "–",
  ]);
});

test("short times are in milliseconds up to a second", () => {
  assert.deepEqual([0, 0.00123, 0.0456, 0.9994, 0.9999, 12.34, null].map(seconds), [
    "0 ms",
    "1.23 ms",
    "45.6 ms",
    "999 ms",
    "1.00 s",
    "12.3 s",
    "–",
  ]);
});

test("ratios are percent, with a digit more where there is little", () => {
  assert.deepEqual([0, 0.0001, 0.012, 0.0999, 0.5, 1.2, null].map(ratio), [
    "0 %",
    "0 %",
    "1.2 %",
    "10 %",
    "50 %",
    "120 %",
    "–",
  ]);
});

test("ages have two units at most", () => {
  assert.deepEqual([-1, 59.4, 60, 3599, 3600, 90_061, 172_800, null].map(age), [
    "0 s",
    "59 s",
    "1 min",
    "59 min 59 s",
    "1 h",
    "1 d 1 h",
    "2 d",
    "–",
  ]);
});

test("a time of another day says which", () => {
  const noon = new Date(2026, 10, 21, 12, 0, 5).getTime() / 1000;
  assert.equal(clock(noon, noon + 60), "12:00:05");
  assert.equal(clock(noon, noon + 60, false), "12:00");
  assert.equal(clock(noon, noon + 86_400), "2026-11-21 12:00:05");
});

import assert from "node:assert/strict";
import test from "node:test";
import type { Known } from "../src/contract";
import { decode, fold, History } from "../src/rows";
import { Window } from "../src/window";

const COLUMNS = ["time", "state", "rss", "gcMajor", "gcMax"];

function encode(rows: readonly (readonly number[])[]): string {
  const stride = 8 + 4 * (COLUMNS.length - 1);
  const buffer = Buffer.alloc(rows.length * stride);
  rows.forEach((row, index) => {
    buffer.writeDoubleLE(row[0] ?? 0, index * stride);
    row.slice(1).forEach((figure, column) => buffer.writeFloatLE(figure, index * stride + 8 + 4 * column));
  });
  return buffer.toString("base64");
}

function row(time: number, rss: Known = 1, state = 2): Known[] {
  return [time, state, rss, 0.5, 0.25];
}

test("rows are read as they were written, and what is not a number is unknown", () => {
  const text = encode([
    [1_763_740_000.123, 2, 1024, 0.5, Number.NaN],
    [1_763_740_001.123, 4, 2048, 0, 0.25],
  ]);
  assert.deepEqual(decode(COLUMNS, text), [
    [1_763_740_000.123, 2, 1024, 0.5, null],
    [1_763_740_001.123, 4, 2048, 0, 0.25],
  ]);
  assert.deepEqual(decode(COLUMNS, ""), []);
});

test("rows that are cut short are refused", () => {
  const cut = Buffer.from(encode([[1, 2, 3, 4, 5]]), "base64")
    .subarray(0, 20)
    .toString("base64");
  assert.throws(() => decode(COLUMNS, cut), RangeError);
});

test("columns are found by name, and one that the agent does not send is missing", () => {
  const history = new History(COLUMNS, [row(1, 10), row(2, 20)]);
  assert.deepEqual(history.column("rss"), [10, 20]);
  assert.equal(history.column("swap"), undefined);
});

test("a point is added once, and only when it is newer", () => {
  const history = new History(COLUMNS, [row(1)]);
  history.append(row(2));
  history.append(row(2));
  history.append(row(1.5));
  assert.deepEqual(history.times, [1, 2]);
});

test("a first point may come without any history", () => {
  const history = new History(COLUMNS, []);
  history.append(row(100));
  assert.deepEqual(history.times, [100]);
});

test("minutes older than ten become one row each: worst state, largest gauge, sum of collections", () => {
  const history = new History(COLUMNS, []);
  for (let time = 0; time < 1320; time += 1) history.append(row(time, time, time === 30 ? 4 : 2));
  // The minute from 660 on ended less than ten minutes before 1319.
  assert.deepEqual(history.times.slice(0, 13), [59, 119, 179, 239, 299, 359, 419, 479, 539, 599, 659, 660, 661]);
  assert.deepEqual(history.column("rss")?.slice(0, 2), [59, 119]);
  assert.deepEqual(history.column("state")?.slice(0, 2), [4, 2]);
  assert.deepEqual(history.column("gcMajor")?.slice(0, 2), [30, 30]);
  assert.deepEqual(history.column("gcMax")?.slice(0, 2), [0.25, 0.25]);
  assert.equal(history.length, 11 + 660);
});

test("a page that stays open for two days holds twelve hours", () => {
  const history = new History(COLUMNS, []);
  for (let time = 0; time < 2 * 86_400; time += 5) history.append(row(time));
  assert.ok(history.length <= 12 * 60 + 11 * 12 + 1, `${history.length} rows`);
  assert.ok((history.times[0] ?? 0) >= history.newest - 12 * 3600);
});

test("what is unknown all through stays unknown when it is folded", () => {
  assert.equal(fold("rss", [null, null]), null);
  assert.equal(fold("rss", [null, 3, 2]), 3);
});

test("a window has one row more on each side, so that lines reach the edges", () => {
  const history = new History(
    COLUMNS,
    [1, 2, 3, 4, 5, 6].map((time) => row(time)),
  );
  assert.deepEqual(new Window(history, { from: 2.5, to: 4.5 }, 15).times, [2, 3, 4, 5]);
});

test("a line breaks where samples are missing for long, and not between two minutes", () => {
  const times = [0, 60, 120, 1000, 1001, 1002, 1100];
  const window = new Window(
    new History(
      COLUMNS,
      times.map((time) => row(time)),
    ),
    { from: 0, to: 1100 },
    15,
  );
  assert.deepEqual(window.times, [0, 60, 120, 560, 1000, 1001, 1002, 1051, 1100]);
  assert.deepEqual(window.values("rss"), [1, 1, 1, null, 1, 1, 1, null, 1]);
});

test("a long range shows every minute as one row, and the newest row as it is", () => {
  const history = new History(COLUMNS, []);
  for (let time = 1; time <= 210; time += 1) history.append(row(time, time));
  const window = new Window(history, { from: 0, to: 3600 }, 15);
  assert.deepEqual(window.times, [59, 119, 179, 209, 210]);
  assert.deepEqual(window.values("rss"), [59, 119, 179, 209, 210]);
  assert.deepEqual(window.rates("gcMajor"), [null, 0.5, 0.5, 0.5, 0.5]);
});

test("sums since the row before become a share of time; the first has none before it", () => {
  const history = new History(COLUMNS, [row(0), row(1), row(3)]);
  assert.deepEqual(new Window(history, { from: 0, to: 3 }, 15).rates("gcMajor"), [null, 0.5, 0.25]);
});

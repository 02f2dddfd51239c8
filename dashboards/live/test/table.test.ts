import assert from "node:assert/strict";
import test from "node:test";
import { link, parse } from "../src/route";
import { severity, worse } from "../src/severity";
import { spread } from "../src/table";

test("what is linked is parsed back, whatever the name holds", () => {
  for (const process of ["api", "a/b", "<b>&\"'", "100%", "ü #?", ".."]) {
    assert.deepEqual(parse(link({ process, worker: "2" })), { process, worker: "2" });
  }
});

test("no name is the list, a name alone its first slot, and nonsense the list", () => {
  assert.equal(parse(""), null);
  assert.equal(parse("#/"), null);
  assert.deepEqual(parse("#/api"), { process: "api", worker: "0" });
  assert.equal(parse("#/%E0%A4%A"), null);
});

test("unhealthy is the worst state, healthy the best", () => {
  assert.equal(severity("unhealthy"), 0);
  assert.equal(worse(2, 4), 4);
  assert.equal(worse(3, 2), 3);
  assert.equal(worse(2, 0), 0);
});

test("the table's rows are spread over the range, none twice, newest first", () => {
  const times = Array.from({ length: 601 }, (_, time) => time);
  const rows = spread(times, { from: 0, to: 600 });
  assert.equal(rows.length, 12);
  assert.equal(rows[0], 600);
  assert.equal(rows[11], 50);
  assert.deepEqual(spread([1, 2], { from: 0, to: 600 }), [1, 0]);
  assert.deepEqual(spread([], { from: 0, to: 600 }), []);
});

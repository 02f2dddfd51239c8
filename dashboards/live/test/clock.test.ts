import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";
import { AgentClock } from "../src/clock";

afterEach(() => mock.restoreAll());

test("the newest of what the agent tells is its time, and goes on as ours does", () => {
  let ours = 5000;
  mock.method(Date, "now", () => ours * 1000);
  const clock = new AgentClock();
  clock.told(900);
  clock.atLeast(960);
  assert.equal(clock.now, 960);
  clock.atLeast(930);
  ours += 2;
  assert.equal(clock.now, 962);
  clock.told(500); // the agent's clock was set back
  assert.equal(clock.now, 500);
});

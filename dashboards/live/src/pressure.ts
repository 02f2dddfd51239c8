// How near a limit is, in steps that have a colour. The same marks as on the dashboards.

import type { Known } from "./contract";

const WARN_RATIO = 0.8;
const ALARM_RATIO = 0.9;

export type Level = "unknown" | "fine" | "warn" | "alarm";

export function level(pressure: Known): Level {
  if (pressure === null) return "unknown";
  return pressure >= ALARM_RATIO ? "alarm" : pressure >= WARN_RATIO ? "warn" : "fine";
}

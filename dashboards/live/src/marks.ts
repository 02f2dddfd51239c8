// Restarts and ends of a process, as vertical lines on every chart.

import { type Entry, same, type Slot } from "./contract";
import { words } from "./format";
import type { Range } from "./window";

export interface Mark {
  at: number;
  kind: "restart" | "exit";
  label: string;
}

const OUTCOMES = ["done", "no_successor", "failed", "cancelled", "dry_run"];

/**
 * One mark a restart, where it began, with how far it has come; one an exit that belongs to none. The exit that a
 * restart has brought about is left out: it would lie on the restart's own line.
 */
export function marksOf(entries: readonly Entry[], slot: Slot): Mark[] {
  const restarts = new Map<string, Mark>();
  const marks: Mark[] = [];
  for (const entry of entries) {
    if (!same(entry, slot)) continue;
    const known = entry.restart ? restarts.get(entry.restart) : undefined;
    if (entry.kind === "restart") {
      if (known) known.label = restartLabel(entry.what);
      else {
        const mark: Mark = { at: entry.wall, kind: "restart", label: restartLabel(entry.what) };
        restarts.set(entry.restart, mark);
        marks.push(mark);
      }
    } else if (entry.kind === "exit" && !known) {
      marks.push({ at: entry.wall, kind: "exit", label: `exit: ${words(entry.what)}` });
    }
  }
  return marks;
}

/** The stage of the slot's last restart; null when that has come to its end. */
export function restartUnderWay(entries: readonly Entry[], slot: Slot): string | null {
  const stages = entries.filter((entry) => entry.kind === "restart" && same(entry, slot));
  const last = stages[stages.length - 1]?.what ?? "done";
  return OUTCOMES.includes(last) ? null : last;
}

function restartLabel(what: string): string {
  return what === "done" ? "restart" : `restart: ${words(what)}${OUTCOMES.includes(what) ? "" : "…"}`;
}

export function within(marks: readonly Mark[], range: Range): Mark[] {
  return marks.filter((mark) => mark.at >= range.from && mark.at <= range.to);
}

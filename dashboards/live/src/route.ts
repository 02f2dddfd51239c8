// What the address names after its hash: one process, or the list.

import type { Slot } from "./contract";

/** `#/name/worker`; null is the list. A worker that is left out is 0. */
export function parse(hash: string): Slot | null {
  const [, process, worker = "0"] = hash.replace(/^#/, "").split("/");
  if (!process) return null;
  try {
    return { process: decodeURIComponent(process), worker: decodeURIComponent(worker) };
  } catch {
    return null; // a percent sign that escapes nothing
  }
}

export function link(slot: Slot): string {
  return `#/${encodeURIComponent(slot.process)}/${encodeURIComponent(slot.worker)}`;
}

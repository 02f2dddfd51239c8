// Changes of state, said once and politely to a screen reader. Figures are not: they change each second.

import { type Listed, same, type Slot } from "./contract";
import { byId } from "./dom";
import { link } from "./route";

const MOST = 3;

export class Announcer {
  private states: Map<string, string> | null = null;

  /** Of the one process that is shown, or of all. */
  take(processes: readonly Listed[], target: Slot | null): void {
    const before = this.states;
    this.states = new Map(processes.map((process) => [link(process), process.state]));
    if (!before) return;
    const changed = processes.filter((process) => {
      const state = before.get(link(process));
      return state !== undefined && state !== process.state && (!target || same(process, target));
    });
    if (changed.length) byId("announcements").textContent = sentence(changed);
  }
}

export function sentence(changed: readonly Listed[]): string {
  const said = changed.slice(0, MOST).map((one) => {
    const worker = one.worker === "0" ? "" : ` worker ${one.worker}`;
    return `${one.process}${worker} is now ${one.state}${one.reasons[0] ? `: ${one.reasons[0]}` : ""}.`;
  });
  const more = changed.length - said.length;
  return [...said, ...(more > 0 ? [`${more} more changed.`] : [])].join(" ");
}

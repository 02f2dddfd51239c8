// Whether what is shown is of now. When it is not, the page says since when, and looks so.

import { byId, show, write } from "./dom";
import { age, clock } from "./format";

export class Connection {
  live = false;
  /** Whether it is known since when there is no connection. */
  private known = false;
  private lostAt = 0;

  /** `heard` is when the last event came, milliseconds. */
  update(live: boolean, heard: number): void {
    this.known = true;
    this.live = live;
    this.lostAt = heard;
    document.documentElement.dataset["connection"] = live ? "live" : "lost";
    write(byId("connection"), live ? "live" : "not connected");
    show(byId("lost"), !live);
    // The reason is said once; how long ago it was changes each second and is not.
    write(
      byId("lost-text"),
      live
        ? ""
        : `No connection to Heapwarden since ${clock(heard / 1000, Date.now() / 1000)}. What is shown is from then; trying again.`,
    );
    this.tick();
  }

  /** Instead of when it was lost: with the reason something can be done. */
  refused(why: string): void {
    if (this.live) return;
    this.known = false;
    write(byId("lost-text"), `Heapwarden sends no figures: ${why}. Trying again.`);
    write(byId("lost-age"), "");
  }

  tick(): void {
    if (this.known && !this.live) write(byId("lost-age"), `${age((Date.now() - this.lostAt) / 1000)} ago`);
  }
}

// A state as shape, colour and word; any one of them is enough to tell it.

import { asState, type State } from "./contract";
import { make, set, write } from "./dom";

const SVG = "http://www.w3.org/2000/svg";

/** In a square of 16: a disc with a tick, a triangle, an octagon with a cross, an arrow down, a turning arrow, a ring, a lozenge. */
const SHAPES: Readonly<Record<State, string>> = {
  healthy: "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm3.6 5.2-4.3 5-2.9-2.8 1.1-1.1 1.7 1.6 3.2-3.7Z",
  degraded: "M8 1.2 15.6 14.6H.4ZM7.2 6v4.2h1.6V6Zm0 5.4V13h1.6v-1.6Z",
  unhealthy:
    "M5 1h6l4 4v6l-4 4H5l-4-4V5ZM5.9 4.8 4.8 5.9 6.9 8l-2.1 2.1 1.1 1.1L8 9.1l2.1 2.1 1.1-1.1L9.1 8l2.1-2.1-1.1-1.1L8 6.9Z",
  draining: "M2 1.5h12v2H2ZM7 5h2v5h3.5L8 14.8 3.5 10H7Z",
  restarting: "M8 2.2V.2l4.2 3.2L8 6.6V4.4a3.9 3.9 0 1 0 3.9 3.9H14A6 6 0 1 1 8 2.2Z",
  starting:
    "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm0 2.2a4.8 4.8 0 1 1 0 9.6 4.8 4.8 0 0 1 0-9.6Zm0 2.6a2.2 2.2 0 1 0 0 4.4 2.2 2.2 0 0 0 0-4.4Z",
  unknown: "M8 .6 15.4 8 8 15.4.6 8ZM8 3.6 3.6 8 8 12.4 12.4 8Z",
};

export class Badge {
  readonly element = make("span", { class: "badge" });
  private readonly path = document.createElementNS(SVG, "path");
  private readonly word = make("span");

  constructor() {
    const shape = document.createElementNS(SVG, "svg");
    set(shape, "viewBox", "0 0 16 16");
    set(shape, "aria-hidden", "true");
    set(this.path, "fill-rule", "evenodd");
    shape.append(this.path);
    this.element.append(shape, this.word);
  }

  /** An unknown word is shown as it is, with the shape of the unknown. */
  update(state: string): void {
    const known = asState(state);
    set(this.element, "data-state", known);
    set(this.path, "d", SHAPES[known]);
    write(this.word, state);
  }
}

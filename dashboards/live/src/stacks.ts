// Parts that make up a whole, each byte counted once.

import type { Known } from "./contract";

export interface MemoryColumns {
  rss: Known[];
  heapUsed: Known[];
  heapTotal: Known[];
  external: Known[];
  arrayBuffers: Known[];
}

export interface MemoryParts {
  heapUsed: Known[];
  heapFree: Known[];
  arrayBuffers: Known[];
  external: Known[];
  rest: Known[];
}

/**
 * What resident memory is made of. `external` contains the array buffers, and committed heap need not be resident: the
 * rest is RSS without both, never below 0. A row in which one figure is missing has no parts, for a stack of some would
 * look like a drop.
 */
export function memoryParts(columns: MemoryColumns): MemoryParts {
  const parts: MemoryParts = { heapUsed: [], heapFree: [], arrayBuffers: [], external: [], rest: [] };
  columns.rss.forEach((_, row) => {
    const [rss, used, total, external, buffers] = at(columns, row);
    const known = rss !== null && used !== null && total !== null && external !== null && buffers !== null;
    parts.heapUsed.push(known ? used : null);
    parts.heapFree.push(known ? Math.max(0, total - used) : null);
    parts.arrayBuffers.push(known ? Math.min(buffers, external) : null);
    parts.external.push(known ? Math.max(0, external - buffers) : null);
    parts.rest.push(known ? Math.max(0, rss - total - external) : null);
  });
  return parts;
}

type Row = [Known, Known, Known, Known, Known];

function at(columns: MemoryColumns, row: number): Row {
  const { rss, heapUsed, heapTotal, external, arrayBuffers } = columns;
  return [rss, heapUsed, heapTotal, external, arrayBuffers].map((values) => values[row] ?? null) as Row;
}

/** Each layer's upper edge. A layer without a figure where another has one counts as 0. */
export function stacked(layers: readonly Known[][]): Known[][] {
  const edges: Known[][] = layers.map(() => []);
  const rows = layers[0]?.length ?? 0;
  for (let row = 0; row < rows; row += 1) {
    const nothing = layers.every((layer) => layer[row] === null);
    let edge = 0;
    layers.forEach((layer, index) => {
      edge += layer[row] ?? 0;
      edges[index]?.push(nothing ? null : edge);
    });
  }
  return edges;
}

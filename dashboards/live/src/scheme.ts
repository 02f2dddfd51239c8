// Light or dark: what was chosen with the button, or else what the system prefers.

const KEY = "heapwarden-theme";
const system = window.matchMedia("(prefers-color-scheme: dark)");

export type Scheme = "light" | "dark";

function chosen(): Scheme | null {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : null;
  } catch {
    return null; // storage is forbidden: the choice lasts as long as the page
  }
}

export function current(): Scheme {
  const scheme = document.documentElement.dataset["theme"];
  return scheme === "dark" ? "dark" : "light";
}

export function apply(scheme: Scheme = chosen() ?? (system.matches ? "dark" : "light")): void {
  document.documentElement.dataset["theme"] = scheme;
}

export function choose(scheme: Scheme): void {
  apply(scheme);
  try {
    localStorage.setItem(KEY, scheme);
  } catch {
    // as above
  }
}

/** Calls back when the system's preference changes and nothing was chosen here. */
export function follow(changed: () => void): void {
  system.addEventListener("change", () => {
    if (chosen()) return;
    apply();
    changed();
  });
}

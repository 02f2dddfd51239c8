// Figures for people. A dash where nothing is known.

import type { Known } from "./contract";

export const UNKNOWN = "–";
const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Three digits that say something: 4.03, 40.3, 403. */
function digits(value: number): string {
  return value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0);
}

export function bytes(value: Known): string {
  if (value === null) return UNKNOWN;
  let unit = 0;
  let left = Math.abs(value);
  for (; left >= 1023.5 && unit < BYTE_UNITS.length - 1; unit += 1) left /= 1024;
  return `${value < 0 ? "−" : ""}${unit ? digits(left) : Math.round(left)} ${BYTE_UNITS[unit]}`;
}

/** A short time: loop delay, a pause. */
export function seconds(value: Known): string {
  if (value === null) return UNKNOWN;
  if (value === 0) return "0 ms";
  return value < 0.9995 ? `${digits(value * 1000)} ms` : `${digits(value)} s`;
}

export function ratio(value: Known): string {
  if (value === null) return UNKNOWN;
  const percent = value * 100;
  return `${percent < 9.95 && percent >= 0.05 ? percent.toFixed(1) : Math.round(percent)} %`;
}

/** How long something has lasted: two units at most. */
export function age(value: Known): string {
  if (value === null) return UNKNOWN;
  const whole = Math.max(0, Math.round(value));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return two(whole, 60, "min", 1, "s");
  if (whole < 86_400) return two(whole, 3600, "h", 60, "min");
  return two(whole, 86_400, "d", 3600, "h");
}

function two(value: number, big: number, bigName: string, small: number, smallName: string): string {
  const rest = Math.floor((value % big) / small);
  return `${Math.floor(value / big)} ${bigName}${rest ? ` ${rest} ${smallName}` : ""}`;
}

/** Local time of day; the date stands before it when that is another day than `now`'s. Unix seconds. */
export function clock(time: number, now: number, withSeconds = true): string {
  const date = new Date(time * 1000);
  const parts = [date.getHours(), date.getMinutes(), ...(withSeconds ? [date.getSeconds()] : [])];
  const text = parts.map((part) => String(part).padStart(2, "0")).join(":");
  if (date.toDateString() === new Date(now * 1000).toDateString()) return text;
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${text}`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}

export function count(value: number, one: string, many = `${one}s`): string {
  return `${value.toLocaleString("en")} ${value === 1 ? one : many}`;
}

/** What is spelled with underscores for machines. */
export function words(text: string): string {
  return text.split("_").join(" ");
}

// Times: relative, and absolute on hover. What counts is the bridge's clock, not the browser's.

import { h } from "./dom.js";

let ahead = 0; // seconds that the bridge's clock is ahead of the browser's

export function setClock(now) {
  ahead = now - Date.now() / 1000;
}

export const now = () => Date.now() / 1000 + ahead;

const STEPS = [
  [60, 1, "s"],
  [3600, 60, "min"],
  [86400, 3600, "h"],
  [Infinity, 86400, "d"],
];

export function span(seconds) {
  const size = Math.abs(seconds);
  if (size < 1) return size < 0.001 ? "0 s" : `${Math.max(1, Math.round(size * 1000))} ms`;
  if (size < 10) return `${Math.round(size * 10) / 10} s`;
  const [, unit, name] = STEPS.find(([limit]) => Math.round(size) < limit);
  const number = size / unit;
  return `${unit > 60 && number < 10 ? Math.round(number * 10) / 10 : Math.round(number)} ${name}`;
}

function relative(at) {
  const away = at - now();
  if (Math.abs(away) < 1.5) return "now";
  const rounded = span(Math.abs(away) < 60 ? Math.round(away) : away);
  return away < 0 ? `${rounded} ago` : `in ${rounded}`;
}

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export const clockTime = (at) => CLOCK.format(new Date(at * 1000));
export const dayTime = (at) => DAY.format(new Date(at * 1000));
export const fullTime = (at) => FULL.format(new Date(at * 1000));

export function when(at, none = "—") {
  if (at === null || at === undefined) return h("span", { class: "faint" }, none);
  return h("time", { datetime: new Date(at * 1000).toISOString(), title: fullTime(at), "data-at": at }, relative(at));
}

setInterval(() => {
  for (const one of document.querySelectorAll("time[data-at]")) {
    const text = relative(Number(one.dataset.at));
    if (one.textContent !== text) one.textContent = text;
  }
}, 1000);

// What happened in the last hours, as plots.

import { plot } from "./plot.js";
import { kindOfState } from "./states.js";
import { span } from "./time.js";

// Value of a choice, its text, and the seconds of one point.
export const SPANS = [
  ["3600", "the last hour", 60],
  ["21600", "the last 6 hours", 300],
  ["86400", "the last day", 900],
];

const DOWN = [
  { name: "answered, delivered or sent", kind: "good" },
  { name: "replaced or cancelled", kind: "plain" },
  { name: "too late or unknown", kind: "warn" },
  { name: "failed", kind: "bad" },
];
const UP = [
  { name: "forwarded", kind: "good" },
  { name: "duplicate or replaced", kind: "plain" },
  { name: "too late", kind: "warn" },
  { name: "rejected", kind: "bad" },
];
const COLOURS = ["wait", "good", "warn", "bad", "plain"];
const QUIET = "No network was given a message in this time.";

// Numbers of messages to devices by what their outcome means.
export function outcomesOf(history) {
  const found = { good: 0, plain: 0, warn: 0, bad: 0 };
  for (const point of history.points) {
    for (const [state, number] of Object.entries(point.downlinks)) found[kindOfState(state)] += number;
  }
  return found;
}

// Draw anew, and leave open what was open.
export function rememberOpen(place, draw) {
  const open = new Set([...place.querySelectorAll("details[open] > summary")].map((one) => one.dataset.key));
  draw();
  for (const one of place.querySelectorAll("summary")) if (open.has(one.dataset.key)) one.parentElement.open = true;
}

function frame(history, seconds, step) {
  const to = Math.ceil(history.time / step) * step;
  return { from: to - seconds, to, step };
}

const each = (step) => (step === 60 ? "per minute" : `per ${span(step)}`);

export function messagePlots(history, seconds, step) {
  const common = frame(history, seconds, step);
  const grouped = (direction, outcomes) =>
    history.points.map((point) => {
      const values = {};
      for (const [state, number] of Object.entries(point[direction])) {
        const { name } = outcomes.find(({ kind }) => kind === kindOfState(state)) ?? outcomes[1];
        values[name] = (values[name] ?? 0) + number;
      }
      return { at: point.at, values };
    });
  const series = [
    { name: "to devices, half of them", kind: "good" },
    { name: "to devices, 95 of 100", kind: "wait" },
    { name: "from devices, 95 of 100", kind: "plain" },
  ];
  const lasting = history.points.map(({ at, durations }) => ({
    at,
    values: { [series[0].name]: durations.down?.median, [series[1].name]: durations.down?.p95, [series[2].name]: durations.up?.p95 },
  }));
  return [
    plot({ title: "Messages to devices", unit: `outcomes ${each(step)}`, series: DOWN, points: grouped("downlinks", DOWN), ...common, empty: "No message to a device had its outcome in this time." }),
    plot({ title: "Messages from devices", unit: `outcomes ${each(step)}`, series: UP, points: grouped("uplinks", UP), ...common, empty: "No message from a device had its outcome in this time." }),
    plot({ title: "Time until the outcome", unit: "at most", shape: "lines", format: span, series, points: lasting, ...common }),
  ];
}

export function callPlots(history, seconds, step) {
  const common = frame(history, seconds, step);
  const names = [...new Set(history.points.flatMap((point) => [...Object.keys(point.calls), ...Object.keys(point.submissions)]))].sort();
  const series = names.map((name, i) => ({ name, kind: COLOURS[i % COLOURS.length] }));
  const valued = (value) => history.points.map((point) => ({ at: point.at, values: Object.fromEntries(names.map((name) => [name, value(point, name)])) }));
  const sum = (results) => Object.values(results ?? {}).reduce((a, b) => a + b, 0);
  return [
    plot({ title: "Messages given to networks", unit: each(step), series, points: valued((point, name) => sum(point.submissions[name])), ...common, empty: QUIET }),
    plot({ title: "Time that networks take to answer", unit: "95 of 100 calls, at most", shape: "lines", format: span, series, points: valued((point, name) => point.calls[name]?.p95), ...common, empty: QUIET }),
  ];
}

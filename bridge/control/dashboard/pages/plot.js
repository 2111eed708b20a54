// Small plots of what happened over time, drawn as wide as there is room, with the same numbers as a table below.

import { fill, h, svg } from "./dom.js";
import { clockTime, dayTime } from "./time.js";

const HEIGHT = 150;
const EDGE = { left: 46, right: 8, top: 10, bottom: 22 };

// `series`: [{name, kind}], bottom first. `points`: [{at, values: {name: number or null}}]. `shape`: bars or lines.
export function plot({ title, series, points, from, to, step, shape = "bars", format = String, unit = "", empty }) {
  const area = h("div", { class: "plot-area" });
  const readout = h("p", { class: "readout faint small", "aria-hidden": "true" });
  const shown = series.filter(({ name }) => points.some((one) => one.values[name]));
  const legend = h("p", { class: "legend small" }, shown.map(({ name, kind }) => h("span", {}, h("span", { class: `key ${kind}` }), name)));
  const element = h("section", { class: "card plot" }, h("h2", {}, title, unit && h("span", { class: "faint unit" }, unit)), h("div", { class: "above" }, legend, readout), area, shown.length > 0 && table(title, shown, points, format));
  if (shown.length === 0) {
    fill(area, h("p", { class: "empty" }, empty ?? "Nothing happened in this time."));
    return element;
  }
  let width = 0;
  new ResizeObserver(([entry]) => {
    const next = Math.floor(entry.contentRect.width);
    if (next === width || next < 80) return;
    width = next;
    fill(area, drawn({ title, series: shown, points, from, to, step, shape, format, width, readout }));
  }).observe(area);
  return element;
}

function drawn({ title, series, points, from, to, step, shape, format, width, readout }) {
  const inner = { width: width - EDGE.left - EDGE.right, height: HEIGHT - EDGE.top - EDGE.bottom };
  const x = (at) => EDGE.left + ((at - from) / (to - from)) * inner.width;
  const y = shape === "bars" ? linear(series, points, inner) : logarithmic(series, points, inner);
  const picture = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": `${title}: the table below has the numbers` });
  for (const tick of y.ticks) {
    picture.append(
      svg("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y.at(tick), y2: y.at(tick) }),
      svg("text", { class: "tick", x: EDGE.left - 6, y: y.at(tick) + 4, "text-anchor": "end" }, format(tick)),
    );
  }
  for (const at of timeTicks(from, to, inner.width)) {
    picture.append(svg("text", { class: "tick", x: x(at), y: HEIGHT - 6, "text-anchor": "middle" }, clockTime(at)));
  }
  if (shape === "bars") bars(picture, { series, points, x, y, step });
  else for (const one of series) steps(picture, { one, points, x, y, step });
  picture.addEventListener("pointermove", (event) => {
    const at = from + ((event.offsetX - EDGE.left) / inner.width) * (to - from);
    const found = points.find((one) => at > one.at - step && at <= one.at);
    readout.textContent = found ? `${dayTime(found.at - step)}: ${told(series, found, format)}` : "";
  });
  picture.addEventListener("pointerleave", () => {
    readout.textContent = "";
  });
  return picture;
}

const told = (series, point, format) =>
  series.filter(({ name }) => point.values[name]).map(({ name }) => `${name} ${format(point.values[name])}`).join(", ");

function bars(picture, { series, points, x, y, step }) {
  const gap = x(step) - x(0) > 5 ? 1 : 0;
  for (const point of points) {
    let below = 0;
    for (const { name, kind } of series) {
      const value = point.values[name];
      if (!value) continue;
      const top = y.at(below + value);
      picture.append(svg("rect", { class: `fill ${kind}`, x: x(point.at - step) + gap, width: Math.max(x(step) - x(0) - 2 * gap, 1), y: top, height: Math.max(y.at(below) - top, 0.5) }));
      below += value;
    }
  }
}

function steps(picture, { one, points, x, y, step }) {
  let path = "";
  let end = null;
  for (const point of points) {
    const value = point.values[one.name];
    if (!value) continue;
    const start = point.at - step;
    path += `${end === start ? "L" : "M"}${x(start).toFixed(1)} ${y.at(value).toFixed(1)}H${x(point.at).toFixed(1)}`;
    end = point.at;
  }
  picture.append(svg("path", { class: `stroke ${one.kind}`, d: path }));
}

function linear(series, points, inner) {
  const most = Math.max(1, ...points.map((one) => series.reduce((sum, { name }) => sum + (one.values[name] ?? 0), 0)));
  const size = 10 ** Math.floor(Math.log10(most));
  const each = [0.5, 1, 2, 5].map((one) => Math.max(one * size, 1)).find((one) => most / one <= 4) ?? size * 10;
  const top = Math.ceil(most / each) * each;
  const ticks = [];
  for (let tick = 0; tick <= top; tick += each) ticks.push(tick);
  return { ticks, at: (value) => EDGE.top + inner.height * (1 - value / top) };
}

const DECADES = [0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36000, 86400];

function logarithmic(series, points, inner) {
  const values = points.flatMap((one) => series.map(({ name }) => one.values[name])).filter(Boolean);
  const low = DECADES.findLast((one) => one < Math.min(...values)) ?? DECADES[0];
  const high = DECADES.find((one) => one >= Math.max(...values)) ?? DECADES.at(-1);
  const ticks = DECADES.filter((one) => one >= low && one <= high);
  const part = (value) => (Math.log(value) - Math.log(low)) / (Math.log(high) - Math.log(low));
  return { ticks, at: (value) => EDGE.top + inner.height * (1 - part(Math.max(value, low))) };
}

function timeTicks(from, to, width) {
  const each = [300, 600, 900, 1800, 3600, 7200, 14400, 21600].find((one) => ((to - from) / one) * 60 <= width) ?? 43200;
  const ticks = [];
  for (let at = Math.ceil((from + each / 8) / each) * each; at <= to - each / 8; at += each) ticks.push(at);
  return ticks;
}

function table(title, series, points, format) {
  return h(
    "details",
    { class: "numbers" },
    h("summary", { "data-key": `numbers-${title}` }, "Show as a table"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, as a table` },
      h(
        "table",
        { class: "small" },
        h("caption", { class: "hidden" }, title),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Until"), series.map(({ name }) => h("th", { scope: "col", class: "number" }, name)))),
        h("tbody", {}, [...points].reverse().map((one) => h("tr", {}, h("th", { scope: "row" }, dayTime(one.at)), series.map(({ name }) => h("td", { class: "number" }, one.values[name] ? format(one.values[name]) : "—"))))),
      ),
    ),
  );
}

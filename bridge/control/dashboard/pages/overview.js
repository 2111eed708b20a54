// The first page: is the bridge well, what waits, what became of messages, how long it took.

import { get } from "./api.js";
import { fill, h, select } from "./dom.js";
import { callPlots, messagePlots, outcomesOf, rememberOpen, SPANS } from "./history.js";
import { onEvents, repeat, together } from "./live.js";
import { addressOf } from "./place.js";
import { badge } from "./states.js";
import { count } from "./text.js";
import { setClock, when } from "./time.js";


export async function showOverview(main, place) {
  let asked = place.query;
  const tiles = h("div", { class: "tiles" });
  const plots = h("div", { class: "plots" });
  const chosen = select(SPANS.map(([value, text]) => [value, text]), "", (value) => {
    location.hash = addressOf("overview", undefined, { span: value });
  }, { id: "span", "aria-label": "Time that is shown" });
  let drawnFrom = "";
  fill(main, h("div", { class: "head" }, h("h1", {}, "Overview"), h("div", { class: "right" }, chosen)), tiles, plots);

  async function load() {
    const [seconds, , step] = SPANS.find(([value]) => value === asked.span) ?? SPANS[0];
    chosen.value = seconds;
    const [status, history, summary, networks] = await Promise.all([
      get("/v1/status"),
      get("/v1/history", { span: seconds, step }),
      get("/v1/endpoint-summary"),
      get("/v1/networks"),
    ]);
    setClock(status.time);
    fill(tiles, tilesOf({ status, history, summary, networks: networks.items }));
    const text = JSON.stringify([history.points, seconds, Math.floor(history.time / step)]);
    if (text === drawnFrom) return; // nothing new: what is open and hovered stays
    drawnFrom = text;
    rememberOpen(plots, () => fill(plots, messagePlots(history, Number(seconds), step), callPlots(history, Number(seconds), step)[0]));
  }

  async function update({ query }) {
    asked = query;
    await load();
  }

  await load();
  return { update, end: together(onEvents(load), repeat(load, 15_000)) };
}

function tilesOf({ status, history, summary, networks }) {
  const failed = Object.values(summary.networks).reduce((sum, one) => sum + (one.provisioning.failed ?? 0), 0);
  const waiting = Object.values(summary.downlinks).reduce((sum, number) => sum + number, 0);
  const up = networks.filter((one) => one.up === true).length;
  const down = networks.filter((one) => one.up === false || one.status.calls?.paused_for);
  const outcomes = outcomesOf(history);
  const total = outcomes.good + outcomes.warn + outcomes.bad;
  return [
    status.node && nodesTile(status.node),
    tile("Bridge", status.ready ? badge("good", "running") : badge("warn", status.phase), history.begun_at && ["started ", when(history.begun_at)]),
    tile("Devices", status.endpoints.toLocaleString(), `${summary.registered.toLocaleString()} registered`, addressOf("devices")),
    tile("Not provisioned", failed ? h("span", { class: "bad-text" }, failed.toLocaleString()) : "0", failed ? "their networks refuse them" : "no network refuses a device", addressOf("devices", undefined, { provisioning: "failed" })),
    tile("Waiting", count(waiting, "message"), "why each waits, and until when", addressOf("waiting")),
    tile("Went through", total ? `${Math.floor((100 * outcomes.good) / total)} %` : "—", total ? `of ${count(total, "message")} to devices: answered, delivered or sent` : "no message had its outcome yet"),
    tile("Networks", down.length ? badge("bad", `${down.length} of ${networks.length} away`) : badge(up ? "good" : "plain", `${up} of ${networks.length} up`), down.map((one) => one.name).join(", ") || (up < networks.length ? "the others were not called yet" : "each answered its latest call"), addressOf("networks")),
  ];
}

function nodesTile(node) {
  const value = node.unserved ? badge("bad", `${node.unserved} shards unserved`) : node.to_move ? badge("wait", `${node.to_move} shards to move`) : badge("good", `${count(node.nodes.length, "node")} up`);
  return tile("Nodes", value, `this one is ${node.name}: ${count(node.endpoints, "device")}`, addressOf("nodes"));
}

function tile(title, value, below, href) {
  const inside = [h("span", { class: "tile-title" }, title), h("span", { class: "tile-value" }, value), h("span", { class: "faint small" }, below)];
  return href ? h("a", { class: "card tile", href, "data-key": `tile-${title}` }, inside) : h("div", { class: "card tile" }, inside);
}

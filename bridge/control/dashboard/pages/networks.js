// Networks and servers, and whether each is well.

import { get, post } from "./api.js";
import { action, details } from "./dialog.js";
import { fill, h } from "./dom.js";
import { callPlots, rememberOpen } from "./history.js";
import { onEvents, repeat, together } from "./live.js";
import { addressOf } from "./place.js";
import { badge } from "./states.js";
import { cell } from "./table.js";
import { sentence } from "./text.js";
import { span } from "./time.js";

const [HOUR, MINUTE] = [3600, 60];
const GRADES = { good: "good", warning: "warn", bad: "bad", unchecked: "plain" };

export async function showNetworks(main) {
  const networks = h("div", { class: "columns" });
  const servers = h("section", { class: "card flush", "aria-label": "Servers" });
  const plots = h("div", { class: "plots" });
  const cards = new Map();

  async function load() {
    const [found, summary, history] = await Promise.all([get("/v1/networks"), get("/v1/endpoint-summary"), get("/v1/history", { span: HOUR, step: MINUTE })]);
    fill(networks, found.items.map((one) => card(one, summary.networks[one.name])), found.items.length === 0 && none());
    draw(history);
  }

  // Counting the devices of a server takes a while in a large fleet.
  async function loadServers() {
    const status = await get("/v1/status");
    const names = Object.keys(status.servers);
    const ofServers = await Promise.all(names.map(numbers));
    fill(servers, h("h2", { class: "strip" }, "LwM2M servers"), names.length ? serversTable(status, names, ofServers) : h("p", { class: "strip faint" }, "No server is configured: add [servers.NAME] to the configuration."));
  }

  function draw(history) {
    rememberOpen(plots, () => fill(plots, callPlots(history, HOUR, MINUTE)));
  }

  function card(one, numbers) {
    const failed = numbers?.provisioning.failed ?? 0;
    let kept = cards.get(one.name);
    if (kept === undefined) {
      kept = { top: h("div"), findings: h("div", { role: "status" }), more: h("div") };
      kept.element = h(
        "section",
        { class: "card", "aria-label": `Network ${one.name}` },
        kept.top,
        one.abilities.includes("check") && h("div", { class: "actions" }, action("Check now", () => check(one.name, kept.findings), { key: `check-${one.name}` })),
        kept.findings,
        h("details", {}, h("summary", {}, "What its binding says"), kept.more),
      );
      cards.set(one.name, kept);
    }
    const calls = one.status.calls ?? {};
    fill(
      kept.top,
      h("h2", {}, h("span", { class: "mono" }, one.name), " ", health(one)),
      details([
        ["Devices", h("a", { href: addressOf("devices", undefined, { network: one.name }), "data-key": `of-${one.name}` }, ((numbers?.enabled ?? 0) + (numbers?.disabled ?? 0)).toLocaleString())],
        ["Disabled", numbers?.disabled ? numbers.disabled.toLocaleString() : null],
        ["Not provisioned", failed ? h("a", { class: "bad-text", href: addressOf("devices", undefined, { network: one.name, provisioning: "failed" }) }, failed.toLocaleString()) : "0"],
        ["Waiting messages", h("a", { href: addressOf("waiting", undefined, { network: one.name }), "data-key": `waiting-${one.name}` }, "why each waits")],
        ["Calls under way", calls.under_way === undefined ? "—" : `${calls.under_way} of at most ${calls.at_most}`],
        ["Wait for their turn", calls.waiting === undefined ? null : String(calls.waiting)],
        ["Left alone for", calls.paused_for ? span(calls.paused_for) : null],
        ["Trouble", one.status.error],
      ]),
    );
    fill(kept.more, outline(one.status));
    return kept.element;
  }

  await Promise.all([load(), loadServers()]);
  fill(main, h("div", { class: "head" }, h("h1", {}, "Networks and servers")), networks, servers, plots);
  return { end: together(onEvents(load), repeat(load, 10_000), repeat(loadServers, 60_000)) };
}

function health(one) {
  if (one.status.error) return badge("bad", "broken", one.status.error);
  if (one.status.calls?.paused_for) return badge("bad", "paused", "It answered no call, and is tried again later");
  if (one.up === true) return badge("good", "up", "Its API answered the latest call");
  if (one.up === false) return badge("bad", "no answer", "Its API did not answer the latest call");
  return badge("plain", "not known", "It was not called yet, or its binding does not say");
}

async function check(name, place) {
  fill(place, h("p", { class: "faint" }, "Checking…"));
  const found = await post("/v1/network-checks", { network: name }).catch((error) => {
    fill(place);
    throw error;
  });
  fill(
    place,
    h(
      "ul",
      { class: "findings" },
      found.networks[name].map((one) => h("li", {}, badge(GRADES[one.grade] ?? "plain", one.grade), h("span", {}, h("strong", {}, sentence(one.what)), one.detail && `: ${one.detail}`, one.cure && h("div", { class: "faint" }, sentence(one.cure))))),
    ),
  );
}

async function numbers(server) {
  const counted = await Promise.all([{}, { registered: true }, { waiting: true }].map((more) => get("/v1/endpoint-count", { server, ...more })));
  return counted.map((one) => one.endpoints);
}

function serversTable(status, names, counts) {
  return h(
    "table",
    { class: "list" },
    h("caption", { class: "hidden" }, "LwM2M servers"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Server"), h("th", { scope: "col" }, "Address"), ["Devices", "Registered", "Something waits"].map((text) => h("th", { scope: "col", class: "number" }, text)))),
    h(
      "tbody",
      {},
      names.map((name, i) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, h("a", { class: "mono", href: addressOf("devices", undefined, { server: name }), "data-key": `server-${name}` }, name)),
          cell("Address", {}, status.servers[name] === null ? badge("warn", "not resolved yet", "Its name could not be resolved; it is tried again") : h("span", { class: "mono" }, status.servers[name])),
          ["Devices", "Registered", "Something waits"].map((label, n) => cell(label, { class: "number" }, counts[i][n].toLocaleString())),
        ),
      ),
    ),
  );
}

function outline(value) {
  if (value === null || typeof value !== "object") return h("span", { class: "mono" }, value === null ? "—" : String(value));
  if (Array.isArray(value) && value.every((one) => one === null || typeof one !== "object")) return h("span", { class: "mono" }, value.join(", ") || "—");
  return h("dl", { class: "outline" }, Object.entries(value).map(([name, one]) => h("div", {}, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, outline(one)))));
}

function none() {
  return h("div", { class: "card empty" }, h("p", {}, "No network is configured: add [networks.NAME] to the configuration."), h("pre", { tabindex: "0", "aria-label": "command" }, "lwm2m-bridge config template"));
}

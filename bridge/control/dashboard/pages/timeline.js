// Everything that happened to one device, newest first: its messages, registrations, provisioning.

import { endpoint, get } from "./api.js";
import { fill, h } from "./dom.js";
import { signedIn } from "./session.js";
import { badge, messageState } from "./states.js";
import { story } from "./story.js";
import { named, sentence } from "./text.js";
import { fullTime, when } from "./time.js";

const PAGE = 40; // messages of each direction that are read at once
const EVENTS = 1000; // the newest, read at once
const EVENT_TYPES = ["registration.begun", "registration.confirmed", "registration.ended", "endpoint.provisioning"];

const KINDS = [
  ["all", "All"],
  ["down", "To the device"],
  ["up", "From the device"],
  ["event", "Registration, provisioning"],
];

// One direction of messages, read page by page, newest first.
class Messages {
  constructor(name, path, kind, at) {
    Object.assign(this, { name, path, kind, at, found: new Map(), next: undefined });
  }

  async refresh() {
    const page = await get(this.path, { endpoint: this.name, limit: PAGE });
    const meets = page.items.some((one) => this.found.has(one.id));
    if (!meets) {
      this.found.clear();
      this.next = page.next;
    }
    for (const one of page.items) this.found.set(one.id, one);
  }

  async more() {
    if (!this.next) return;
    const page = await get(this.path, { endpoint: this.name, limit: PAGE, after: this.next });
    this.next = page.next;
    for (const one of page.items) this.found.set(one.id, one);
  }

  // The time from which on everything is known.
  get from() {
    return this.next ? Math.min(...[...this.found.values()].map((one) => one[this.at])) : -Infinity;
  }

  entries() {
    return [...this.found.values()].map((one) => ({ key: `${this.kind}-${one.id}`, kind: this.kind, at: one[this.at], one }));
  }
}

export function timeline(name) {
  const down = new Messages(name, "/v1/downlinks", "down", "accepted_at");
  const up = new Messages(name, "/v1/uplinks", "up", "received_at");
  let events = [];
  let chosen = "all";
  const rows = new Map(); // key → {text, element}: what did not change stays, and stays open
  const list = h("ol", { class: "timeline" });
  const foot = h("div", { class: "pages" });
  const choices = h("div", { class: "tabs", role: "group", "aria-label": "What is shown" });
  const element = h("section", { class: "card flush", "aria-label": "Timeline" }, h("div", { class: "strip spread" }, h("h2", {}, "Timeline"), choices), list, foot);

  function render() {
    const from = Math.max(down.from, up.from);
    const entries = [...down.entries(), ...up.entries(), ...events]
      .filter((one) => one.at >= from && (chosen === "all" || one.kind === chosen))
      .sort((a, b) => b.at - a.at || (b.one.id ?? 0) - (a.one.id ?? 0));
    fill(choices, KINDS.map(([kind, text]) => h("button", { type: "button", "aria-pressed": String(kind === chosen), "data-key": `kind-${kind}`, onclick: () => choose(kind) }, text)));
    fill(list, entries.map(row));
    const nothing = entries.length === 0 && h("p", { class: "empty" }, chosen === "all" ? "Nothing has happened yet. When the device sends something, or a server asks it something, it appears here." : "Nothing of this kind has happened.");
    fill(foot, nothing, (down.next || up.next) && h("button", { type: "button", "data-key": "older", onclick: older }, "Show older"));
    foot.hidden = foot.childElementCount === 0;
  }

  function choose(kind) {
    chosen = kind;
    render();
  }

  function row(entry) {
    const text = JSON.stringify(entry.one);
    const before = rows.get(entry.key);
    if (before?.text === text) return before.element;
    const made = entry.kind === "event" ? eventRow(entry) : messageRow(entry);
    if (before?.element.querySelector("details")?.open) made.querySelector("details").open = true;
    rows.set(entry.key, { text, element: made });
    return made;
  }

  async function older() {
    const target = Math.max(down.from, up.from);
    await Promise.all([down, up].filter((one) => one.from >= target).map((one) => one.more()));
    render();
  }

  async function readEvents() {
    if (!signedIn()?.events) return;
    const { items } = await get(endpoint(name, "/events"), { types: EVENT_TYPES, limit: EVENTS });
    events = items.map((one) => ({ key: `event-${one.id}`, kind: "event", at: one.at, one }));
  }

  async function refresh() {
    await Promise.all([down.refresh(), up.refresh(), readEvents()]);
    render();
  }

  return { element, refresh, load: refresh };
}

function messageRow({ kind, at, one }) {
  const isDown = kind === "down";
  const code = isDown ? (one.response ?? one.verdict) : one.code;
  const isCertain = one.state !== "FORWARDED" || one.acknowledged;
  const inside = h("div", { class: "inside" });
  const shown = h(
    "details",
    { ontoggle: () => shown.open && story(inside, kind, one.id) },
    h(
      "summary",
      { "data-key": `${kind}-${one.id}` },
      h("span", { class: `way ${kind}`, role: "img", "aria-label": isDown ? "to the device" : "from the device" }, isDown ? "↓" : "↑"),
      h("span", { class: "what" }, h("span", { class: "mono" }, named(one)), " ", h("span", { class: "faint" }, about(kind, one))),
      h("span", { class: "faint mono code" }, code ?? ""),
      h("span", { class: "state" }, messageState(one.state, one.over ?? one.finished_at !== null, isCertain), one.late && badge("warn", "late")),
      h("span", { class: "at" }, when(at)),
      one.reason && h("span", { class: "reason faint" }, sentence(one.reason)),
    ),
    inside,
  );
  return h("li", {}, shown);
}

const peer = (server) => (server === "(API)" ? "the API" : server);

function about(kind, { server, ...one }) {
  if (kind === "down") return server ? `from ${peer(server)}` : "to the device";
  if (one.kind === "verdict") return `the bridge's own answer to ${peer(server)}`;
  return one.downlink === null ? `to ${peer(server)}` : `response to ${peer(server)}`;
}

const OF_EVENTS = {
  "registration.begun": (data) => ["good", `registered with ${data.server}`],
  "registration.confirmed": (data) => ["good", `registration with ${data.server} renewed`],
  "registration.ended": (data) => ["plain", `deregistered from ${data.server}`],
  "endpoint.provisioning": (data) => [{ ready: "good", failed: "bad" }[data.state] ?? "wait", `provisioning: ${data.state}`],
};

function eventRow({ at, one }) {
  const [kind, text] = OF_EVENTS[one.type]?.(one.data) ?? ["plain", one.type];
  return h(
    "li",
    { class: "event" },
    h("span", { class: "way", "aria-hidden": "true" }, "•"),
    h("span", { class: "what" }, badge(kind, text)),
    h("span", { class: "at", title: fullTime(at) }, when(at)),
    one.data.reason && h("span", { class: "reason faint" }, sentence(one.data.reason)),
  );
}

// One device: how it is, what waits for it and why, its servers, and everything that happened to it.

import { endpoint, get, post, remove } from "./api.js";
import { action, details } from "./dialog.js";
import { directForm } from "./direct.js";
import { fill, h, notice } from "./dom.js";
import { onEvents, repeat, together } from "./live.js";
import { addressOf } from "./place.js";
import { may } from "./session.js";
import { badge, linkState, provisioningState, registrationState } from "./states.js";
import { cell } from "./table.js";
import { count, sentence } from "./text.js";
import { setClock, span, when } from "./time.js";
import { timeline } from "./timeline.js";
import { waitingTable } from "./waitings.js";

export async function showDevice(main, { part: name }) {
  const head = h("div", { class: "head" });
  const facts = h("section", { class: "card", "aria-label": "How it is" });
  const waiting = h("section", { class: "card flush", "aria-label": "Waiting messages" });
  const servers = h("section", { class: "card flush", "aria-label": "Servers" });
  const line = timeline(name);
  const direct = may("operate") ? directForm(name, { sent: () => changed().catch(() => {}) }) : null;

  async function load() {
    const found = await explanation();
    if (found.time !== null) setClock(found.time);
    renderHead(found);
    fill(facts, factsOf(found.endpoint));
    renderWaiting(found);
    fill(servers, h("h2", { class: "strip" }, "Servers"), serversOf(found));
  }

  // In a cluster the node that serves a device knows why messages wait; what the ledger has is known to each.
  async function explanation() {
    try {
      return await get(endpoint(name, "/explanation"));
    } catch (error) {
      if (error.error !== "NotServedHere") throw error;
      return { endpoint: await get(endpoint(name, "/state")), time: null, elsewhere: true, links: [], registrations: [], waiting: [] };
    }
  }

  async function changed() {
    await load();
    await line.refresh();
  }

  function renderHead({ endpoint: one, waiting: messages }) {
    fill(
      head,
      h("h1", { class: "mono" }, one.name),
      h("span", { class: "badges" }, one.enabled ? null : badge("plain", "disabled"), provisioningState(one.provisioning), registrationState(one.registrations)),
      h("div", { class: "actions right" }, actions(one, messages)),
    );
  }

  function actions(one, messages) {
    const act = (rest, done) => () => post(endpoint(name, rest)).then(changed).then(() => done);
    const say = (text) => text;
    return [
      may("operate") && messages.length > 0 &&
        action("Cancel all waiting", () => post("/v1/endpoint-actions", { action: "cancel", names: [name] }).then(changed), {
          before: { title: `Cancel ${count(messages.length, "message")}?`, text: "What the network holds already is taken back only if it still can be. Each message gets its outcome.", action: "Cancel them" },
          done: "The messages are being cancelled.",
        }),
      may("operate") && one.enabled && action("Provision again", act("/provision", `The network of ${name} was asked again.`), { done: say }),
      may("operate") && one.enabled &&
        action("Disable", act("/disable", `${name} is disabled.`), {
          before: { title: `Disable ${name}?`, text: "Nothing more is accepted for it, from servers or from the device. What waits gets its outcome. It keeps its address.", action: "Disable it" },
          done: say,
        }),
      may("operate") && !one.enabled && action("Enable", act("/enable", `${name} is enabled.`), { kind: "primary", done: say }),
      may("admin") &&
        action("Remove", () => remove(endpoint(name)).then(() => {
          notice(`${name} is removed.`);
          location.hash = addressOf("devices");
        }), {
          kind: "danger",
          before: { title: `Remove ${name}?`, text: "What waits for it gets its outcome, and its network no longer carries its data. This cannot be undone.", action: "Remove it", typed: name },
        }),
    ];
  }

  function renderWaiting({ waiting: messages, endpoint: one, elsewhere }) {
    const none = elsewhere
      ? h("p", { class: "strip faint" }, one.node ? ["Node ", h("span", { class: "mono" }, one.node), " serves this device: its dashboard says what waits and why."] : "No node serves this device at this moment.")
      : h("p", { class: "strip faint" }, "Nothing waits for this device.");
    fill(
      waiting,
      h("h2", { class: "strip" }, "Waiting", messages.length > 0 && h("span", { class: "faint" }, ` ${messages.length}`)),
      messages.length ? waitingTable(messages, { device: name, changed }) : none,
    );
  }

  try {
    await load();
  } catch (error) {
    if (error.status !== 404) throw error;
    fill(main, h("div", { class: "card empty" }, h("h1", {}, "No such device"), h("p", {}, sentence(error.message)), h("p", {}, h("a", { href: addressOf("devices") }, "Show all devices"))));
    return { end: () => {} };
  }
  fill(main, h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: addressOf("devices") }, "Devices")), head, h("div", { class: "columns" }, facts, servers), waiting, direct?.element, line.element);
  await line.load();
  const follow = onEvents(changed, (event) => event.data.endpoint === name);
  return { end: together(follow, repeat(load, 5000), () => direct?.end()) }; // what begins to wait is no event
}

function factsOf(one) {
  const provisioning = one.provisioning;
  return [
    h("h2", {}, "How it is"),
    details([
      ["Network", one.network],
      ["Address", h("span", { class: "mono" }, one.address)],
      ["Served by", one.node === null ? null : [one.node ? h("span", { class: "mono" }, one.node) : badge("bad", "no node at this moment"), ` (shard ${one.shard})`]],
      ["Servers see it as", one.seen_as.length ? h("span", { class: "mono" }, one.seen_as.join(", ")) : "no address yet"],
      ["Provisioning", [provisioningState(provisioning), " ", provisioning.since !== null && when(provisioning.since)]],
      ["Trouble", provisioning.reason && h("span", {}, sentence(provisioning.reason))],
      ["Tried again", provisioning.retry_at !== null && provisioning.state !== "ready" ? when(provisioning.retry_at) : null],
      ["Last uplink", when(one.last_uplink?.at, "never")],
      ["Last downlink", when(one.last_downlink?.at, "never")],
      ["Requests may wait", one.default_ttl === null ? null : span(one.default_ttl)],
      ["Server profile", one.profile],
      ["Confirmed", one.confirmed ? "yes" : null],
      ["Options", Object.entries(one.options).map(([key, value]) => h("div", { class: "mono" }, `${key} = ${value}`))].map((value, i) => (i === 1 && value.length === 0 ? null : value)),
      ["Added", when(one.created_at)],
    ]),
  ];
}

function serversOf(found) {
  const states = new Map(found.endpoint.registrations.map((one) => [one.server, one]));
  const registrations = new Map(found.registrations.map((one) => [one.server, one]));
  if (found.links.length === 0) return h("p", { class: "strip faint" }, "It has no server: set default_servers, or the endpoint's own.");
  return h(
    "table",
    { class: "list" },
    h("caption", { class: "hidden" }, "Servers of the device"),
    h("thead", {}, h("tr", {}, ["Server", "Link", "Registration", "Renewed", "Lapses"].map((title) => h("th", { scope: "col" }, title)), h("th", { scope: "col", class: "number" }, "Observations"))),
    h(
      "tbody",
      {},
      found.links.map((link) => {
        const state = states.get(link.server);
        const known = registrations.get(link.server);
        return h(
          "tr",
          {},
          h("th", { scope: "row" }, link.server),
          cell("Link", {}, linkState(link), link.reason && h("div", { class: "faint small" }, sentence(link.reason), link.retry_in !== null && `; again in ${span(link.retry_in)}`)),
          cell("Registration", {}, registrationState(state ? [state] : []), state && h("div", { class: "faint small mono" }, state.path)),
          cell("Renewed", {}, when(state?.renewed_at)),
          cell("Lapses", {}, when(state?.lapses_at), state?.late && h("div", { class: "faint small" }, "late: the device should have renewed it")),
          cell("Observations", { class: "number" }, String(known?.observations ?? 0)),
        );
      }),
    ),
  );
}

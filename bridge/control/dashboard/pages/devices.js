// The fleet: search, filter, sort, a page at a time.

import { get } from "./api.js";
import { Selection, bar, checkbox, mayAct } from "./bulk.js";
import { field, fill, h, select } from "./dom.js";
import { onEvents, repeat, together } from "./live.js";
import { addressOf } from "./place.js";
import { provisioningState, registrationState, badge } from "./states.js";
import { cell } from "./table.js";
import { count as counted } from "./text.js";
import { when } from "./time.js";

const PAGE = 50;
const TYPING = 250; // milliseconds without a key until a search begins

const COLUMNS = [
  { title: "Device", sort: "name" },
  { title: "Network" },
  { title: "Address", sort: "address", wide: true },
  { title: "Provisioning" },
  { title: "Registration" },
  { title: "Last uplink", sort: "last uplink", descends: true },
  { title: "Last downlink", sort: "last downlink", descends: true, wide: true },
  { title: "Waiting", sort: "waiting", descends: true, number: true },
];
const FILTERS = ["text", "network", "server", "enabled", "provisioning", "registered", "waiting", "silent_for"];
const ANY = ["", "any"];

export async function showDevices(main, place) {
  const [networks, status] = await Promise.all([get("/v1/networks"), get("/v1/status")]);
  let asked = place.query;
  let shown = new Set();
  let latest = 0;
  const head = h("thead");
  const body = h("tbody");
  const bulk = h("div");
  const selection = new Selection(mark);
  let matching = 0; // devices, at the last count
  const count = h("p", { class: "count", role: "status" });
  const pages = h("nav", { class: "pages", "aria-label": "Pages of the list" });
  const empty = h("div");
  const controls = filters(networks.items.map((one) => one.name), Object.keys(status.servers), go);
  fill(
    main,
    h("div", { class: "head" }, h("h1", {}, "Devices"), count),
    controls.form,
    bulk,
    h("div", { class: "card flush" }, h("table", { class: "list" }, h("caption", { class: "hidden" }, "Devices and how each is"), head, body), empty, pages),
  );

  function go(changes, { replace = false } = {}) {
    const address = addressOf("devices", undefined, { ...asked, after: undefined, ...changes });
    if (replace) location.replace(address);
    else location.hash = address;
  }

  const filterOf = () => Object.fromEntries(FILTERS.map((name) => [name, asked[name]]));

  // Show what is selected, and what can be done with that.
  function mark() {
    if (!mayAct()) return;
    for (const input of body.querySelectorAll("input[type=checkbox]")) {
      input.checked = selection.has(input.dataset.key.slice("select-".length));
      input.disabled = selection.isAll;
    }
    const page = head.querySelector("input");
    const chosen = [...shown].filter((name) => selection.has(name)).length;
    page.checked = shown.size > 0 && chosen === shown.size;
    page.indeterminate = chosen > 0 && chosen < shown.size;
    page.disabled = selection.isAll || shown.size === 0;
    const number = Math.max(matching, selection.names.size);
    fill(bulk, !selection.isEmpty && bar(selection, { matching: number, filter: filterOf(), done }));
  }

  async function done() {
    selection.clear();
    await load();
    await tally();
  }

  async function load() {
    latest += 1;
    const mine = latest;
    const filter = filterOf();
    const isFiltered = FILTERS.some((name) => asked[name]);
    const page = await get("/v1/endpoints", { ...filter, sort: asked.sort, descending: asked.descending, after: asked.after, limit: PAGE });
    if (mine !== latest) return;
    shown = new Set(page.items.map((one) => one.name));
    fill(body, page.items.map((one) => row(one, selection)));
    mark();
    fill(
      pages,
      asked.after && h("a", { class: "button", href: addressOf("devices", undefined, { ...asked, after: undefined }), "data-key": "first" }, "First page"),
      asked.after && h("button", { type: "button", "data-key": "back", onclick: () => history.back() }, "Back"),
      page.next && h("a", { class: "button", href: addressOf("devices", undefined, { ...asked, after: page.next }), "data-key": "next" }, "Next page"),
    );
    fill(empty, page.items.length === 0 && nothing(isFiltered));
  }

  async function tally() {
    const mine = latest;
    const isFiltered = FILTERS.some((name) => asked[name]);
    const { endpoints } = await get("/v1/endpoint-count", filterOf());
    if (mine !== latest) return;
    const text = isFiltered ? `${endpoints.toLocaleString()} of ${counted(status.endpoints, "device")}` : counted(endpoints, "device");
    if (count.textContent !== text) fill(count, text);
    matching = endpoints;
    mark();
  }

  async function update({ query }) {
    const before = JSON.stringify(filterOf());
    asked = { sort: "name", ...query };
    fill(head, heads(asked, go, (isChosen) => selection.set(shown, isChosen)));
    if (JSON.stringify(filterOf()) !== before) selection.clear(); // what is not seen is not acted on
    controls.set(asked);
    await load();
    await tally();
  }

  await update(place);
  const follow = onEvents(load, (event) => event.data.endpoint === undefined || shown.has(event.data.endpoint));
  return { update, end: together(follow, repeat(tally, 30_000)) };
}

function row(one, selection) {
  return h(
    "tr",
    { class: one.enabled ? "" : "disabled" },
    mayAct() && h("td", { class: "select" }, checkbox(selection, one.name)),
    h(
      "th",
      { scope: "row" },
      h("a", { class: "mono", href: addressOf("device", one.name), "data-key": `device-${one.name}` }, one.name),
      !one.enabled && badge("plain", "disabled"),
    ),
    cell("Network", {}, one.network),
    cell("Address", { class: "mono wide" }, one.address),
    cell("Provisioning", {}, provisioningState(one.provisioning)),
    cell("Registration", {}, registrationState(one.registrations)),
    cell("Last uplink", {}, when(one.last_uplink?.at, "never")),
    cell("Last downlink", { class: "wide" }, when(one.last_downlink?.at, "never")),
    cell("Waiting", { class: "number" }, one.waiting ? one.waiting.toLocaleString() : h("span", { class: "faint" }, "0")),
  );
}

function heads(asked, go, choose) {
  const page = h("input", { type: "checkbox", "aria-label": "Select all on this page", "data-key": "select-page", onchange: () => choose(page.checked) });
  return h(
    "tr",
    {},
    mayAct() && h("td", { class: "select" }, page),
    COLUMNS.map((column) => {
      const attributes = { scope: "col", class: [column.wide && "wide", column.number && "number"].filter(Boolean).join(" ") };
      if (!column.sort) return h("th", attributes, column.title);
      const isSorted = asked.sort === column.sort;
      const descends = isSorted && asked.descending === "true";
      if (isSorted) attributes["aria-sort"] = descends ? "descending" : "ascending";
      const next = isSorted ? !descends : Boolean(column.descends);
      const turn = () => go({ sort: column.sort === "name" ? undefined : column.sort, descending: next ? "true" : undefined });
      const arrow = h("span", { class: "arrow", "aria-hidden": "true" }, isSorted ? (descends ? "↓" : "↑") : "");
      return h("th", attributes, h("button", { type: "button", class: "sort", "data-key": `sort-${column.sort}`, onclick: turn }, column.title, arrow));
    }),
  );
}

function filters(networks, servers, go) {
  let typing = null;
  const inputs = {};
  inputs.text = h("input", {
    type: "search",
    id: "search",
    placeholder: "Name or address",
    autocomplete: "off",
    spellcheck: "false",
    oninput: () => {
      clearTimeout(typing);
      typing = setTimeout(() => {
        typing = null;
        go({ text: inputs.text.value.trim() }, { replace: true });
      }, TYPING);
    },
  });
  const choice = (label, name, options) => {
    inputs[name] = select([ANY, ...options], "", (value) => go({ [name]: value }), { id: `filter-${name}` });
    return field(label, inputs[name]);
  };
  const same = (values) => values.map((value) => [value, value]);
  const clear = h("a", { class: "button", href: addressOf("devices") }, "Clear");
  const form = h(
    "form",
    { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
    field("Search", inputs.text),
    choice("Network", "network", same(networks)),
    servers.length > 1 && choice("Server", "server", same(servers)),
    choice("Provisioning", "provisioning", same(["ready", "pending", "wanted", "failed"])),
    choice("Registration", "registered", [["true", "live"], ["false", "none"]]),
    choice("Messages", "waiting", [["true", "some wait"], ["false", "none wait"]]),
    choice("Silent for", "silent_for", [["3600", "1 hour"], ["86400", "1 day"], ["604800", "1 week"], ["2592000", "30 days"]]),
    choice("Enabled", "enabled", [["true", "yes"], ["false", "no"]]),
    clear,
  );

  function set(asked) {
    for (const [name, input] of Object.entries(inputs)) {
      const value = asked[name] ?? "";
      const isTyped = name === "text" && (typing !== null || input.value.trim() === value);
      if (!isTyped) input.value = value;
    }
    clear.hidden = !FILTERS.some((name) => asked[name]);
  }

  return { form, set };
}

function nothing(isFiltered) {
  if (isFiltered) {
    return h("div", { class: "empty" }, h("p", {}, "No device is like that."), h("p", {}, h("a", { href: addressOf("devices") }, "Show all devices")));
  }
  return h(
    "div",
    { class: "empty" },
    h("p", {}, "There are no devices yet. Add one, or a file of many, on the bridge's host:"),
    h("pre", { tabindex: "0", "aria-label": "commands" }, "lwm2m-bridge endpoint add NAME --network NETWORK --address ADDRESS\nlwm2m-bridge endpoint import fleet.csv"),
  );
}

// Many devices at once: selected one by one or by the filter, tried without a change, confirmed, reported row by row.

import { post } from "./api.js";
import { confirmed, opened, shown } from "./dialog.js";
import { fill, h, notice } from "./dom.js";
import { may } from "./session.js";
import { badge } from "./states.js";
import { count, sentence } from "./text.js";

const PART = 200; // devices in one request: between two, progress is shown and the work can be stopped
const SHOWN = 200; // rows of a report; the file has all

const ACTS = "/v1/endpoint-actions";
const ACTIONS = [
  { name: "Enable", role: "operate", path: ACTS, body: { action: "enable" }, text: "They accept messages again, from servers and from the devices." },
  { name: "Disable", role: "operate", path: ACTS, body: { action: "disable" }, text: "Nothing more is accepted for them. What waits gets its outcome. They keep their addresses." },
  { name: "Provision again", role: "operate", path: ACTS, body: { action: "provision" }, text: "Their networks are asked again to carry their data." },
  { name: "Cancel all waiting", role: "operate", path: ACTS, body: { action: "cancel" }, text: "What a network holds already is taken back only if it still can be. Each message gets its outcome." },
  { name: "Remove", role: "admin", path: "/v1/endpoint-removals", body: {}, isFinal: true, text: "What waits for them gets its outcome, and their networks no longer carry their data. This cannot be undone." },
];

// The selected devices of a list: some by name, or all that match the filter.
export class Selection {
  constructor(changed) {
    this.names = new Set();
    this.isAll = false;
    this.changed = changed;
  }

  get isEmpty() {
    return !this.isAll && this.names.size === 0;
  }

  has(name) {
    return this.isAll || this.names.has(name);
  }

  set(names, isChosen) {
    for (const name of names) {
      if (isChosen) this.names.add(name);
      else this.names.delete(name);
    }
    this.changed();
  }

  all() {
    this.names.clear();
    this.isAll = true;
    this.changed();
  }

  clear() {
    this.names.clear();
    this.isAll = false;
    this.changed();
  }
}

export const mayAct = () => ACTIONS.some((one) => may(one.role));

export function checkbox(selection, name) {
  const made = h("input", { type: "checkbox", "aria-label": `Select ${name}`, "data-key": `select-${name}`, checked: selection.has(name), disabled: selection.isAll, onchange: () => selection.set([name], made.checked) });
  return made;
}

// What can be done with the selected devices. `matching`: how many match the filter; `filter`: its conditions.
export function bar(selection, { matching, filter, done }) {
  const number = selection.isAll ? matching : selection.names.size;
  const isWhole = selection.isAll || number === matching;
  return h(
    "div",
    { class: "bulk", role: "group", "aria-label": "Selected devices" },
    h("span", { role: "status" }, selection.isAll ? `All ${matching.toLocaleString()} that match are selected` : `${count(number, "device")} selected`),
    h(
      "div",
      { class: "actions" },
      !isWhole && h("button", { type: "button", "data-key": "select-matching", onclick: () => selection.all() }, `Select all ${matching.toLocaleString()} that match`),
      ACTIONS.filter((one) => may(one.role)).map((one) => {
        const start = () => run(one, selection.isAll ? { filter: conditions(filter) } : { names: [...selection.names] }, done);
        return h("button", { type: "button", class: one.isFinal ? "danger" : "", "data-key": `bulk-${one.name}`, onclick: start }, one.name);
      }),
      h("button", { type: "button", class: "quiet", "data-key": "select-none", onclick: () => selection.clear() }, "Clear the selection"),
    ),
  );
}

// A filter of the page's address as the API takes it.
function conditions(filter) {
  const found = {};
  for (const [name, value] of Object.entries(filter)) {
    if (!value) continue;
    if (["enabled", "registered", "waiting"].includes(name)) found[name] = value === "true";
    else if (name === "silent_for") found[name] = Number(value);
    else if (name === "provisioning") found[name] = [value];
    else found[name] = value;
  }
  return found;
}

async function run(one, selected, done) {
  let tried;
  try {
    tried = await post(one.path, { ...one.body, ...selected, dry_run: true });
  } catch (error) {
    notice(sentence(error.message), "bad");
    return;
  }
  const names = tried.items.filter((row) => row.outcome !== "failed").map((row) => row.name);
  const isSure = await confirmed({
    title: `${one.name}: ${count(names.length, "device")}?`,
    text: one.text,
    action: `${one.name} (${names.length.toLocaleString()})`,
    typed: one.isFinal && String(names.length),
    content: report(tried.items),
    isPossible: names.length > 0,
  });
  if (!isSure) return;
  const rows = await carriedOut(one, names);
  await done().catch(() => {}); // the report is shown, also where the list cannot be read
  await shown({ title: `${one.name}: ${summary(rows)}`, content: [report(rows), download(one.name, rows)] });
}

// Do it part by part; return a row for each device, also for those that were not reached.
async function carriedOut(one, names) {
  const rows = [];
  let isStopped = false;
  const meter = h("progress", { max: names.length, value: 0, "aria-label": "Progress" });
  const said = h("p", { role: "status" });
  const stop = h("button", { type: "button", onclick: () => { isStopped = true; stop.disabled = true; } }, "Stop");
  const dialog = opened({ title: `${one.name}…`, content: [meter, said], buttons: [stop], cancelled: (event) => event.preventDefault() });
  let trouble = "it was stopped before";
  while (rows.length < names.length && !isStopped) {
    try {
      const answer = await post(one.path, { ...one.body, names: names.slice(rows.length, rows.length + PART) });
      rows.push(...answer.items);
    } catch (error) {
      trouble = error.message;
      break;
    }
    meter.value = rows.length;
    fill(said, `${rows.length.toLocaleString()} of ${names.length.toLocaleString()}`);
  }
  dialog.close();
  return [...rows, ...names.slice(rows.length).map((name) => ({ name, outcome: "not known to be done", detail: trouble }))];
}

function summary(rows) {
  const done = rows.filter((row) => row.outcome === "done").length;
  const failed = rows.filter((row) => row.outcome === "failed").length;
  const rest = rows.length - done - failed;
  return [`${done.toLocaleString()} done`, failed && `${failed.toLocaleString()} failed`, rest && `${rest.toLocaleString()} not known to be done`].filter(Boolean).join(", ");
}

const KINDS = { done: "good", failed: "bad", "would be done": "wait" };

function report(rows) {
  const first = rows.toSorted((a, b) => (a.outcome === "done" || a.outcome === "would be done") - (b.outcome === "done" || b.outcome === "would be done"));
  return h(
    "div",
    { class: "report", tabindex: "0", role: "region", "aria-label": "Report" },
    h(
      "table",
      {},
      h("caption", { class: "hidden" }, "What becomes of each device"),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Device"), h("th", { scope: "col" }, "Outcome"))),
      h(
        "tbody",
        {},
        first.slice(0, SHOWN).map((row) => h("tr", {}, h("th", { scope: "row", class: "mono" }, row.name), h("td", {}, badge(KINDS[row.outcome] ?? "warn", row.outcome), row.detail && h("span", { class: "faint" }, ` ${sentence(row.detail)}`)))),
      ),
    ),
    rows.length > SHOWN && h("p", { class: "faint" }, `and ${(rows.length - SHOWN).toLocaleString()} more`),
  );
}

function download(name, rows) {
  // An apostrophe before what a spreadsheet would take for a formula, as `bridge/spreadsheet.py` puts it.
  const guarded = (text) => (/^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text);
  const quoted = (text) => `"${guarded(text).replaceAll('"', '""')}"`;
  const lines = ["name,outcome,detail", ...rows.map((row) => [row.name, row.outcome, row.detail].map(quoted).join(","))];
  const file = new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" });
  return h("p", {}, h("a", { href: URL.createObjectURL(file), download: `${name.toLowerCase().replaceAll(" ", "-")}.csv` }, "Save the report (CSV)"));
}

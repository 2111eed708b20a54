// The nodes of a cluster: whether each lives, what it serves, and what changes hands.

import { get, post } from "./api.js";
import { action, details } from "./dialog.js";
import { fill, h, svg } from "./dom.js";
import { repeat, together } from "./live.js";
import { may } from "./session.js";
import { badge } from "./states.js";
import { cell } from "./table.js";
import { count } from "./text.js";
import { span, when } from "./time.js";

const KINDS = ["good", "wait", "warn", "plain"]; // colours of nodes, in order of their names
const [ROW, CELL] = [32, 10]; // shards in a row of the map, and the side of each

export async function showNodes(main) {
  const summary = h("span", { class: "badges" });
  const nodes = h("div", { class: "columns" });
  let drawnFrom = "";
  const map = h("section", { class: "card", "aria-label": "Shards" });

  async function load() {
    const [cluster, shards] = await Promise.all([get("/v1/cluster"), get("/v1/cluster/shards")]);
    fill(summary, standing(cluster));
    fill(nodes, cluster.nodes.map((one) => card(one, cluster.node, load)));
    const text = JSON.stringify([cluster.nodes.map((one) => one.name), shards.items]);
    if (text === drawnFrom) return; // nothing new: what is open and scrolled stays
    drawnFrom = text;
    const isOpen = map.querySelector("details")?.open;
    fill(map, h("h2", {}, "Shards"), legend(cluster.nodes), drawn(cluster.nodes, shards.items), list(shards.items, isOpen));
  }

  await load();
  fill(main, h("div", { class: "head" }, h("h1", {}, "Nodes"), summary), nodes, map);
  return { end: together(repeat(load, 2_000)) };
}

function standing(cluster) {
  return [
    cluster.unserved > 0 && badge("bad", `${count(cluster.unserved, "shard")} served by nobody`, "Messages of their devices wait until a node has taken them"),
    cluster.to_move > 0 && badge("wait", `${count(cluster.to_move, "shard")} to move`, "They are handed over, a few at a time"),
    cluster.unserved + cluster.to_move === 0 && badge("good", "every shard is where it belongs"),
  ];
}

export function nodeState(one) {
  if (!one.alive) return badge("bad", "lease over", "The others serve its shards");
  if (one.leaving) return badge("warn", "stopping", "It hands its shards over, and ends");
  if (one.draining) return badge("warn", "draining", "It hands its shards over, and gets none");
  if (one.unfit && one.shards === 0) return badge("bad", "cannot serve", "It could serve none of the shards that it tried last. The others take them");
  if (one.unfit) return badge("warn", "takes no more", "It serves what it has, and could serve none of the shards that it tried last. The others take them");
  return badge("good", "serves");
}

function card(one, asked, changed) {
  const drain = (on) => () => post(`/v1/cluster/nodes/${encodeURIComponent(one.name)}/drain`, { on }).then(changed);
  const before = { title: `Drain ${one.name}?`, text: "It hands its shards over to the other nodes, a few at a time, and stays free of them until it is started anew.", action: "Drain it" };
  return h(
    "section",
    { class: "card", "aria-label": `Node ${one.name}` },
    h("h2", {}, h("span", { class: "mono" }, one.name), " ", nodeState(one)),
    details([
      ["Shards", one.shards.toLocaleString()],
      ["Devices", one.endpoints.toLocaleString()],
      ["Lease ends in", one.alive ? span(one.lease) : "—"],
      ["Release", one.release],
      ["Started", when(one.started_at)],
      ["Could not serve", one.failing > 0 ? `${count(one.failing, "shard")}; the last: ${one.failing_why}` : null],
      ["Contradicts", one.contradictions.join("; ") || null],
      ["Differs", one.differences.join("; ") || null],
      ["This page", one.name === asked ? "comes from this node" : null],
    ]),
    may("admin") && one.alive && !one.leaving &&
      h("div", { class: "actions" }, one.draining ? action("Let it serve again", drain(false), { key: `serve-${one.name}` }) : action("Drain", drain(true), { key: `drain-${one.name}`, before })),
  );
}

const kindOf = (nodes, name) => (name === "" ? "bad" : KINDS[nodes.findIndex((one) => one.name === name) % KINDS.length]);

function legend(nodes) {
  const holders = nodes.filter((one) => one.shards > 0);
  return h("div", { class: "legend" }, holders.map((one) => h("span", {}, h("span", { class: `key ${kindOf(nodes, one.name)}` }), one.name, h("span", { class: "faint" }, ` ${one.shards}`))));
}

function drawn(nodes, shards) {
  const text = nodes.map((one) => `${one.name} ${one.shards}`).join(", ");
  return svg(
    "svg",
    { class: "shards", role: "img", "aria-label": `Shards by node: ${text}`, viewBox: `0 0 ${ROW * CELL} ${Math.ceil(shards.length / ROW) * CELL}` },
    shards.map((one, i) =>
      svg(
        "rect",
        { class: `fill ${kindOf(nodes, one.node)}`, x: (i % ROW) * CELL, y: Math.floor(i / ROW) * CELL, width: CELL - 1, height: CELL - 1 },
        svg("title", {}, `Shard ${one.shard}: ${one.node || "nobody"}`),
      ),
    ),
  );
}

function list(shards, isOpen) {
  return h(
    "details",
    { open: isOpen },
    h("summary", {}, "Each shard"),
    h(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": "Each shard" },
      h(
        "table",
        { class: "list" },
        h("caption", { class: "hidden" }, "Each shard and its node"),
        h("thead", {}, h("tr", {}, ["Shard", "Node", "Since"].map((text) => h("th", { scope: "col" }, text)), h("th", { scope: "col", class: "number" }, "Devices"))),
        h(
          "tbody",
          {},
          shards.map((one) =>
            h("tr", {}, h("th", { scope: "row" }, String(one.shard)), cell("Node", {}, one.node ? h("span", { class: "mono" }, one.node) : badge("bad", "nobody")), cell("Since", {}, when(one.since)), cell("Devices", { class: "number" }, one.endpoints.toLocaleString())),
          ),
        ),
      ),
    ),
  );
}

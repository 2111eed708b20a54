// Everything that waits for devices, and why.

import { get } from "./api.js";
import { field, fill, h, select } from "./dom.js";
import { onEvents, repeat, together } from "./live.js";
import { addressOf } from "./place.js";
import { count } from "./text.js";
import { setClock } from "./time.js";
import { waitingTable } from "./waitings.js";

const PAGE = 25; // devices

export async function showWaiting(main, place) {
  let asked = place.query;
  const networks = await get("/v1/networks");
  const total = h("p", { class: "count", role: "status" });
  const list = h("div");
  const go = (changes) => {
    location.hash = addressOf("waiting", undefined, { ...asked, after: undefined, ...changes });
  };
  const chosen = select([["", "any"], ...networks.items.map((one) => [one.name, one.name])], "", (network) => go({ network }), { id: "filter-network" });
  fill(
    main,
    h("div", { class: "head" }, h("h1", {}, "Waiting messages"), total),
    networks.items.length > 1 && h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, field("Network", chosen)),
    list,
  );

  async function load() {
    const [page, counted] = await Promise.all([
      get("/v1/waiting", { network: asked.network, after: asked.after, limit: PAGE }),
      get("/v1/endpoint-count", { waiting: true, network: asked.network }),
    ]);
    setClock(page.time);
    fill(total, `for ${count(counted.endpoints, "device")}`);
    fill(
      list,
      page.items.map((one) =>
        h(
          "section",
          { class: "card flush" },
          h("h2", { class: "strip" }, h("a", { class: "mono", href: addressOf("device", one.endpoint), "data-key": one.endpoint }, one.endpoint), h("span", { class: "faint" }, ` on ${one.network}`)),
          waitingTable(one.messages, { device: one.endpoint, changed: load }),
        ),
      ),
      page.items.length === 0 && h("div", { class: "card empty" }, h("p", {}, "Nothing waits: every message has its outcome."), h("p", {}, "What became of messages is on the page of each device.")),
      (asked.after || page.next) &&
        h(
          "nav",
          { class: "pages", "aria-label": "Pages of the list" },
          asked.after && h("a", { class: "button", href: addressOf("waiting", undefined, { ...asked, after: undefined }) }, "First page"),
          page.next && h("a", { class: "button", href: addressOf("waiting", undefined, { ...asked, after: page.next }) }, "Next page"),
        ),
    );
  }

  async function update({ query }) {
    asked = query;
    chosen.value = asked.network ?? "";
    await load();
  }

  await update(place);
  const concerns = (event) => event.type === "message.outcome" || event.type === "endpoint.provisioning";
  return { update, end: together(onEvents(load, concerns), repeat(load, 5000)) }; // what begins to wait is no event
}

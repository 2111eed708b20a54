// A list of messages that are not out yet: why each waits, until when, and a way to cancel it.

import { post } from "./api.js";
import { action } from "./dialog.js";
import { h } from "./dom.js";
import { may } from "./session.js";
import { messageState } from "./states.js";
import { cell } from "./table.js";
import { named, sentence } from "./text.js";
import { when } from "./time.js";

export function waitingTable(messages, { device, changed }) {
  return h(
    "table",
    { class: "list waits" },
    h("caption", { class: "hidden" }, device ? `What waits for ${device}, and why` : "What waits, and why"),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, "Message"),
        h("th", { scope: "col" }, "State"),
        h("th", { scope: "col", class: "why" }, "Why it is not out"),
        h("th", { scope: "col" }, "Next by itself"),
        h("th", { scope: "col" }, "Ends by"),
        h("th", { scope: "col", class: "wide" }, "Accepted"),
        h("th", { scope: "col", class: "number wide" }, "Attempts"),
        may("operate") && h("th", { scope: "col" }, h("span", { class: "hidden" }, "Actions")),
      ),
    ),
    h("tbody", {}, messages.map((one) => row(one, changed))),
  );
}

function row(one, changed) {
  const behind = one.blocked_by === null ? "" : ` (behind message ${one.blocked_by})`;
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("span", { class: "mono" }, named(one)), h("span", { class: "faint small" }, ` ${one.downlink}`)),
    cell("State", {}, messageState(one.state, false)),
    cell("Why", { class: "why" }, h("span", {}, sentence(one.why) + behind)),
    cell("Next by itself", {}, when(one.next_at, "only with an event")),
    cell("Ends by", {}, when(one.deliver_by, "—")),
    cell("Accepted", { class: "wide" }, when(one.since)),
    cell("Attempts", { class: "number wide" }, String(one.attempts)),
    may("operate") &&
      h(
        "td",
        { class: "act" },
        action("Cancel", () => post(`/v1/downlinks/${one.downlink}/cancel`).then(afterwards(changed)), {
          key: `cancel-${one.downlink}`,
          done: (answer) => (answer.over ? `Message ${answer.id} is ${answer.state.toLowerCase()}.` : `Message ${answer.id}: the network is asked to give it up.`),
        }),
      ),
  );
}

function afterwards(changed) {
  return async (answer) => {
    await changed();
    return answer;
  };
}

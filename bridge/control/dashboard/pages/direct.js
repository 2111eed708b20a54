// Ask the device something without a server, and show what it answers.

import { endpoint, get, post } from "./api.js";
import { details } from "./dialog.js";
import { field, fill, h, select } from "./dom.js";
import { messageState } from "./states.js";
import { named, sentence } from "./text.js";
import { when } from "./time.js";

const OPERATIONS = [
  ["read", "Read"],
  ["write", "Write"],
  ["execute", "Execute"],
  ["discover", "Discover"],
];
const TTLS = [
  ["60", "1 minute"],
  ["3600", "1 hour"],
  ["86400", "1 day"],
  ["604800", "1 week"],
];
const WAIT = 25; // seconds that one question for the outcome may take
const PAUSE = 1000; // milliseconds between two questions, however soon the bridge answers
const PATH = "/[0-9]+(/[0-9]+){0,3}";

export function directForm(name, { sent }) {
  let isOver = false;
  const outcome = h("div", { role: "status" });
  const path = h("input", { type: "text", required: true, pattern: PATH, placeholder: "/3/0/0", autocomplete: "off", spellcheck: "false", title: "object, instance, resource, such as /3/0/0" });
  const value = h("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: "22.5, true or text", title: "read by the type of the resource; where the bridge does not know it, the text goes as it is" });
  const ttl = select(TTLS, "3600", () => {});
  const valueField = field("Value", value);
  const operation = select(OPERATIONS, "read", () => {
    valueField.hidden = operation.value !== "write";
    value.required = !valueField.hidden;
  });
  valueField.hidden = true;
  const button = h("button", { type: "submit" }, "Send");
  const form = h(
    "form",
    {
      class: "filters direct",
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        try {
          const asked = { operation: operation.value, path: path.value, ttl: Number(ttl.value) };
          if (operation.value === "write") asked.value = value.value; // the bridge reads it by the type of the resource
          const made = await post(endpoint(name, "/downlinks"), asked);
          show(made);
          sent();
          follow(made);
        } catch (error) {
          fill(outcome, h("p", { class: "trouble" }, sentence(error.message)));
        } finally {
          button.disabled = false;
        }
      },
    },
    field("Operation", operation),
    field("Path", path),
    valueField,
    field("May wait for", ttl),
    button,
  );

  async function follow(made) {
    let last = made;
    while (!last.over && !isOver) {
      const pause = new Promise((resolve) => setTimeout(resolve, PAUSE));
      try {
        last = await get(`/v1/downlinks/${made.id}/outcome`, { wait: WAIT });
      } catch (error) {
        fill(outcome, h("p", { class: "trouble" }, sentence(error.message)));
        return;
      }
      if (!isOver) show(last);
      if (!last.over) await pause;
    }
  }

  function show({ id, downlink, over, response }) {
    const values = response?.values;
    fill(
      outcome,
      h("p", {}, h("span", { class: "mono" }, named(downlink)), h("span", { class: "faint small" }, ` ${id} `), messageState(downlink.state, over), " ", !over && h("span", { class: "faint" }, "may go until ", when(downlink.deliver_by)), downlink.reason && h("span", { class: "faint" }, sentence(downlink.reason))),
      response &&
        details([
          ["The device answers", h("span", { class: "mono" }, response.code)],
          ...(values ?? []).map((one) => [one.name ? `${one.name} ${one.path}` : one.path, h("span", { class: "mono" }, written(one.value))]),
          ["Text", !values && response.text ? h("span", { class: "mono" }, response.text) : null],
          ["Withheld", response.withheld ? "its values may hold keys" : null],
          ["Incomplete", response.complete ? null : "parts of the answer are missing"],
        ]),
    );
  }

  const element = h("section", { class: "card", "aria-label": "Ask the device" }, h("h2", {}, "Ask the device"), form, outcome);
  return {
    element,
    end: () => {
      isOver = true;
    },
  };
}

const written = (value) => (typeof value === "bigint" ? String(value) : JSON.stringify(value));

// Questions before something is done, and forms.

import { fill, h, notice } from "./dom.js";
import { sentence } from "./text.js";

// Ask before something is done. `typed`: what must be typed to confirm. Returns whether it was confirmed.
export function confirmed({ title, text, action, typed }) {
  return new Promise((resolve) => {
    const button = h("button", { type: "submit", class: typed ? "danger" : "primary", value: "yes", disabled: Boolean(typed) }, action);
    const input = typed && h("input", {
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": `Type ${typed} to confirm`,
      oninput: () => {
        button.disabled = input.value !== typed;
      },
    });
    const dialog = h(
      "dialog",
      { "aria-labelledby": "dialog-title", onclose: () => {
        resolve(dialog.returnValue === "yes");
        dialog.remove();
      } },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "dialog-title" }, title),
        h("p", {}, text),
        typed && h("p", {}, "Type ", h("code", {}, typed), " to confirm:"),
        input,
        h("div", { class: "actions end" }, h("button", { type: "button", onclick: () => dialog.close("no") }, "Keep it as it is"), button),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

// A button that does something on the bridge, once at a time, and says what came of it.
export function action(text, act, { kind = "", before, done, key } = {}) {
  const button = h("button", { type: "button", class: kind, "data-key": key ?? text }, text);
  button.addEventListener("click", async () => {
    if (before && !(await confirmed(before))) return;
    button.disabled = true;
    try {
      const answer = await act();
      const said = typeof done === "function" ? done(answer) : done;
      if (said) notice(said);
    } catch (error) {
      notice(sentence(error.message), "bad");
    } finally {
      button.disabled = false;
    }
  });
  return button;
}

export function details(pairs) {
  return h(
    "dl",
    {},
    pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

export function loading(place) {
  return fill(place, h("p", { class: "empty" }, "Loading…"));
}

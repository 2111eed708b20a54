// Questions before something is done, and forms.

import { fill, h, notice } from "./dom.js";
import { sentence } from "./text.js";

// Open a dialog. `buttons` stand at its end; `cancelled` is called where somebody presses Escape. Returns the dialog.
export function opened({ title, content, buttons, cancelled = () => {}, closed = () => {} }) {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title", oncancel: cancelled, onclose: () => {
      closed(dialog.returnValue);
      dialog.remove();
    } },
    h("form", { method: "dialog" }, h("h2", { id: "dialog-title" }, title), content, h("div", { class: "actions end" }, buttons)),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

// Show something until it is closed.
export function shown({ title, content }) {
  return new Promise((resolve) => {
    opened({ title, content, buttons: h("button", { type: "submit", class: "primary", value: "yes" }, "Close"), closed: resolve });
  });
}

// Ask before something is done. `typed`: what must be typed to confirm; `content`: what stands below the text; where it
// is not `isPossible` there is nothing to confirm. Returns whether it was confirmed.
export function confirmed({ title, text, action, typed, content, isPossible = true }) {
  return new Promise((resolve) => {
    const button = h("button", { type: "submit", class: typed ? "danger" : "primary", value: "yes", disabled: Boolean(typed) || !isPossible }, action);
    const input = typed && isPossible && h("input", {
      type: "text",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": `Type ${typed} to confirm`,
      oninput: () => {
        button.disabled = input.value !== typed;
      },
    });
    const dialog = opened({
      title,
      content: [h("p", {}, text), content, input && h("p", {}, "Type ", h("code", {}, typed), " to confirm:"), input],
      buttons: [h("button", { type: "button", onclick: () => dialog.close("no") }, "Keep it as it is"), button],
      closed: (value) => resolve(value === "yes"),
    });
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

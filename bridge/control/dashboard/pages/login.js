// Sign in with a key. The key goes to the bridge once; the browser keeps a cookie that no script can read.

import { signIn } from "./api.js";
import { field, fill, h } from "./dom.js";
import { sentence } from "./text.js";

export function showLogin(main, { reason, done }) {
  document.title = "Sign in · LwM2M Non-IP bridge";
  const trouble = h("p", { class: "trouble", role: "alert" }, reason ?? "");
  const key = h("input", {
    type: "password",
    name: "key",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    placeholder: "lnb_…",
  });
  const button = h("button", { type: "submit", class: "primary" }, "Sign in");
  const form = h(
    "form",
    {
      class: "login card",
      onsubmit: async (event) => {
        event.preventDefault();
        button.disabled = true;
        fill(trouble);
        try {
          done(await signIn({ key: key.value.trim() }));
        } catch (error) {
          fill(trouble, sentence(error.message));
          key.select();
          key.focus();
        } finally {
          button.disabled = false;
        }
      },
    },
    h("h1", {}, "Sign in"),
    h("p", { class: "faint" }, "With a key of this bridge's API. An administrator makes one on the bridge's host:"),
    h("pre", { tabindex: "0", "aria-label": "command" }, 'lwm2m-bridge key create "your name" --role operate'),
    field("Key", key),
    trouble,
    button,
  );
  fill(main, form);
  key.focus();
}



// The story of one message: each state with its time, each attempt with what the network said, and its content.

import { get } from "./api.js";
import { details } from "./dialog.js";
import { fill, h } from "./dom.js";
import { may } from "./session.js";
import { badge } from "./states.js";
import { count, sentence } from "./text.js";
import { fullTime, when } from "./time.js";

const KNOWN = { delivered: "good", left: "good", held: "wait", pending: "wait", in_doubt: "warn", gone: "warn", nacked: "bad", refused: "bad", taken_back: "plain" };

export async function story(place, kind, id) {
  const path = `/v1/${kind === "down" ? "downlinks" : "uplinks"}/${id}`;
  let found;
  try {
    found = await get(path);
  } catch (error) {
    fill(place, h("p", { class: "trouble" }, sentence(error.message)));
    return;
  }
  const content = h("div");
  fill(
    place,
    details([
      ["Message", `${found.kind} ${found.id}`],
      ["Code", found.code],
      ["Size", count(found.bytes, "byte")],
      ["Sent", found.sent ? count(found.sent, "time") : null],
      ["May go until", found.deliver_by ? fullTime(found.deliver_by) : null],
      ["The server waits until", found.answer_by ? fullTime(found.answer_by) : null],
      ["Answers message", found.downlink ? String(found.downlink) : null],
      ["Reply to the device", found.reply],
      ["Acknowledged by the server", found.acknowledged === true ? "yes" : null],
    ]),
    found.made?.length > 0 && attempts(found.made),
    h("h3", {}, "What happened"),
    h("ol", { class: "moments" }, found.moments.map((one) => h("li", {}, when(one.at), h("span", {}, sentence(one.what))))),
    may("operate") &&
      h("button", { type: "button", class: "quiet", "data-key": `content-${kind}-${id}`, onclick: () => showContent(content, `${path}/payload`) }, "Show the content"),
    content,
  );
}

function attempts(made) {
  return [
    h("h3", {}, "Attempts"),
    h(
      "table",
      { class: "small" },
      h("caption", { class: "hidden" }, "Attempts to hand it to its network"),
      h("thead", {}, h("tr", {}, ["#", "Known", "Since", "The network said", "Its handle"].map((text) => h("th", { scope: "col" }, text)))),
      h(
        "tbody",
        {},
        made.map((one) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, String(one.number)),
            h("td", {}, badge(KNOWN[one.known] ?? "plain", one.known.replace("_", " "))),
            h("td", {}, when(one.at)),
            h("td", {}, [one.refusal, one.detail].filter(Boolean).join(": ") || "—"),
            h("td", { class: "mono" }, one.handle ?? "—"),
          ),
        ),
      ),
    ),
  ];
}

async function showContent(place, path) {
  try {
    const found = await get(path);
    const bytes = Uint8Array.from(atob(found.payload), (c) => c.charCodeAt(0));
    fill(
      place,
      details([["Code", found.code], ...found.options.map((one) => [one.name, h("span", { class: "mono" }, one.value)])]),
      h("pre", { tabindex: "0", "aria-label": "payload" }, bytes.length === 0 ? "(no payload)" : (found.text ?? hexadecimal(bytes))),
    );
  } catch (error) {
    fill(place, h("p", { class: "trouble" }, sentence(error.message)));
  }
}

function hexadecimal(bytes) {
  const digits = [...bytes].map((one) => one.toString(16).padStart(2, "0"));
  const lines = [];
  for (let n = 0; n < digits.length; n += 16) lines.push(digits.slice(n, n + 16).join(" "));
  return lines.join("\n");
}

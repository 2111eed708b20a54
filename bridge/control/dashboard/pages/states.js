// What each state means for a reader: good, waiting, worth a look, bad, or of no weight.

import { h } from "./dom.js";

const MESSAGES = {
  RESPONDED: "good",
  DELIVERED: "good",
  SENT: "good",
  FORWARDED: "good",
  QUEUED: "wait",
  SUBMITTING: "wait",
  BUFFERED: "wait",
  RECEIVED: "wait",
  UNKNOWN: "warn",
  EXPIRED: "warn",
  UNANSWERED: "warn",
  RATE_LIMITED: "warn",
  TOO_LARGE: "bad",
  REJECTED: "bad",
  NACKED: "bad",
  UNREACHABLE: "bad",
  FAILED: "bad",
  CANCELLED: "plain",
  SUPERSEDED: "plain",
  DUPLICATE: "plain",
  REPLACED: "plain",
};

const PROVISIONING = { ready: "good", pending: "wait", wanted: "wait", failed: "bad" };
const LINKS = { open: "good", opening: "wait", failing: "bad", closed: "plain" };

export function badge(kind, text, title) {
  return h("span", { class: `badge ${kind}`, title }, text);
}

// `acknowledged` false: of a message that goes once, and that the server may not have.
export function messageState(state, over = true, acknowledged = true) {
  const known = acknowledged ? (MESSAGES[state] ?? "plain") : "plain";
  const kind = !over && known === "good" ? "wait" : known;
  const title = acknowledged ? undefined : "nothing acknowledges it: the server may not have it";
  return badge(kind, state.toLowerCase().replace("_", " "), title);
}

export const kindOfState = (state) => MESSAGES[state] ?? "plain";
export const provisioningState = (one) => badge(PROVISIONING[one.state] ?? "plain", one.state, one.reason || undefined);
export const linkState = (one) => badge(LINKS[one.state] ?? "plain", one.state, one.reason || undefined);

export function registrationState(registrations) {
  const live = registrations.filter((one) => one.live);
  if (live.length) return badge("good", "registered", live.map((one) => one.server).join(", "));
  if (registrations.length) return badge("warn", "lapsed", registrations.map((one) => one.server).join(", "));
  return badge("plain", "none seen");
}

// The frame of all pages: who is signed in, where one is, and whether events come in.

import { get, signIn, signOut, whoIsSignedIn } from "./api.js";
import { showDevice } from "./device.js";
import { showDevices } from "./devices.js";
import { fill, h, notice } from "./dom.js";
import { follow, liveState, stopFollowing } from "./live.js";
import { showLogin } from "./login.js";
import { showNetworks } from "./networks.js";
import { showNodes } from "./nodes.js";
import { showOverview } from "./overview.js";
import { addressOf, here } from "./place.js";
import { setSignedIn, signedIn } from "./session.js";
import { sentence } from "./text.js";
import { setClock } from "./time.js";
import { showWaiting } from "./waiting.js";

const TITLE = "LwM2M Non-IP bridge";
const PAGES = [
  ["overview", "Overview", showOverview],
  ["devices", "Devices", showDevices],
  ["waiting", "Waiting", showWaiting],
  ["networks", "Networks and servers", showNetworks],
  ["nodes", "Nodes", showNodes],
];
const OTHERS = { device: showDevice };
const STATUS_EVERY = 15_000; // milliseconds

const main = document.getElementById("main");
const top = document.getElementById("top");

let shown = null; // the page that is shown: {name, part, end(), update(place)}
let asked = 0; // number of the latest navigation
let isInCluster = false; // else there is one node alone, and no page about nodes

async function show(isMoving = false) {
  if (signedIn() === null) return;
  const { page: named, part, query } = here();
  const page = named || PAGES[0][0];
  if (shown?.update && shown.page === page && shown.part === part) {
    await shown.update({ part, query }).catch((error) => notice(sentence(error.message), "bad"));
    return;
  }
  const found = PAGES.find(([name]) => name === page);
  const begun = found?.[2] ?? OTHERS[page] ?? PAGES[0][2];
  leave();
  const mine = asked;
  renderTop(page);
  document.title = `${found?.[1] ?? part ?? "Dashboard"} · ${TITLE}`;
  try {
    const next = await begun(main, { part, query });
    if (mine !== asked) next?.end();
    else shown = { page, part, ...next };
    if (mine === asked && isMoving) main.focus({ preventScroll: true });
  } catch (error) {
    if (mine === asked && error.status !== 401) fill(main, h("p", { class: "empty" }, sentence(error.message)));
  }
}

function leave() {
  asked += 1;
  shown?.end?.();
  shown = null;
}

function renderTop(page) {
  const who = signedIn();
  fill(
    top,
    h(
      "header",
      { class: "bar" },
      h("a", { class: "brand", href: addressOf(PAGES[0][0]) }, h("img", { src: "icon.svg", alt: "", width: 22, height: 22 }), "Non-IP bridge"),
      h(
        "nav",
        { "aria-label": "Pages" },
        PAGES.filter(([name]) => name !== "nodes" || isInCluster).map(([name, text]) =>
          h("a", { href: addressOf(name), "data-key": `nav-${name}`, "aria-current": name === page || (page === "device" && name === "devices") ? "page" : undefined }, text),
        ),
      ),
      h(
        "div",
        { class: "who" },
        h("span", { class: "live", id: "live" }),
        h("span", { class: "name", title: `key ${who.key}` }, who.name),
        h("span", { class: "role" }, who.role),
        h("button", { type: "button", class: "quiet", "data-key": "sign-out", onclick: leaveForGood }, "Sign out"),
      ),
    ),
    h("div", { id: "banner", role: "status" }),
  );
  renderLive();
}

const LIVE = {
  live: ["good", "live", "Pages change as events happen"],
  polling: ["plain", "every 10 s", "This bridge keeps no events: set keep in [events] of its configuration for live pages"],
  away: ["warn", "connecting…", "The stream of events broke off; it is being opened again"],
  off: ["plain", "off", ""],
};

function renderLive() {
  const place = document.getElementById("live");
  if (place === null) return;
  const [kind, text, title] = LIVE[liveState()];
  fill(place, h("span", { class: `badge ${kind}`, title }, text));
}

async function renderStatus() {
  if (signedIn() === null || document.hidden) return;
  try {
    const status = await get("/v1/status");
    setClock(status.time);
    noteCluster(status.node !== null);
    const works = status.work.map((one) => `${one.name} ${one.total ? `${Math.floor((100 * one.done) / one.total)} %` : one.done}`);
    const text = status.ready ? "" : `The bridge is ${status.phase}${works.length ? `: ${works.join("; ")}` : ""}.`;
    sayAbove(text);
  } catch (error) {
    if (error.status !== 401) sayAbove(sentence(error.message));
  }
}

function sayAbove(text) {
  const banner = document.getElementById("banner");
  if (banner !== null) fill(banner, text && h("p", { class: "banner" }, text));
}

function noteCluster(is) {
  if (is === isInCluster) return;
  isInCluster = is;
  if (shown !== null) renderTop(shown.page);
}

async function leaveForGood() {
  await signOut().catch((error) => notice(sentence(error.message), "bad"));
  begin(null);
}

async function begin(found, reason) {
  setSignedIn(found);
  leave();
  if (signedIn() === null) {
    stopFollowing();
    fill(top);
    showLogin(main, { reason, done: (next) => begin(next) });
    return;
  }
  follow(found.events);
  await renderStatus(); // the bridge's clock, before times are shown
  await show();
}

async function checkSession() {
  if (signedIn() === null) return;
  const found = await whoIsSignedIn().catch(() => null);
  if (found === null) return; // away: EventSource and pages say so
  if (found.role === null) begin(null, "Your session is over. Sign in again.");
  else setTimeout(() => signedIn() && follow(found.events), 5000);
}

addEventListener("hashchange", () => {
  if (location.hash === "#main") return;
  show(true);
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.addEventListener("live", renderLive);
document.addEventListener("signed-out", () => signedIn() && begin(null, "Your session is over. Sign in again."));
document.addEventListener("refused", checkSession);
setInterval(renderStatus, STATUS_EVERY);
document.addEventListener("visibilitychange", renderStatus);

// A link with a code signs in once; the code leaves the address, and so the history, at once.
async function useLink() {
  const { page, query } = here();
  if (page !== "sign-in" || !query.code) return false;
  history.replaceState(null, "", location.pathname);
  try {
    await begin(await signIn({ code: query.code }));
  } catch (error) {
    await begin(null, sentence(error.message));
  }
  return true;
}

if (!(await useLink())) begin(await whoIsSignedIn().catch(() => null));

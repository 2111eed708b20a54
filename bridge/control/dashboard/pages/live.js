// Events of the bridge as they happen. Where the bridge keeps none, pages ask again from time to time.

const TYPES = [
  "message.outcome",
  "registration.begun",
  "registration.confirmed",
  "registration.ended",
  "endpoint.provisioning",
  "lost",
];
const EVERY = 10_000; // milliseconds between questions where there are no events
const CALM = 1_500; // milliseconds: a burst of events makes one question
const SHARE = 10; // times as long as an answer took, nothing is asked

const readers = new Set();
let source = null;
let polling = null;
let state = "off";

export const liveState = () => state;

function become(next) {
  if (state === next) return;
  state = next;
  document.dispatchEvent(new CustomEvent("live", { detail: next }));
}

export function follow(events) {
  stopFollowing();
  if (!events) {
    polling = setInterval(() => tell(null), EVERY);
    become("polling");
    return;
  }
  source = new EventSource("/v1/events");
  source.onopen = () => become("live");
  source.onerror = () => {
    become("away");
    // Closed for good: the session is over, or the bridge refuses. Whoever signs in again begins anew.
    if (source?.readyState === EventSource.CLOSED) document.dispatchEvent(new CustomEvent("refused"));
  };
  for (const type of TYPES) {
    source.addEventListener(type, (event) => tell(type === "lost" ? null : JSON.parse(event.data)));
  }
}

export function stopFollowing() {
  source?.close();
  source = null;
  clearInterval(polling);
  polling = null;
  become("off");
}

function tell(event) {
  for (const reader of readers) reader(event);
}

// Call `act` soon after events for which `concerns` holds. What takes long for the bridge is asked for less often: at
// most a tenth of the time goes to it, but after EVERY at the latest it is asked for. An event while `act` is under way
// makes one more call, since its answer may be older than the event. Returns what ends that.
export function onEvents(act, concerns = () => true) {
  let timer = null;
  let next = 0;
  let again = false;
  let ended = false;
  const wait = () => {
    timer = setTimeout(turn, Math.max(150, next - Date.now()));
  };
  const turn = async () => {
    const begun = Date.now();
    again = false;
    await Promise.resolve(act()).catch(() => {});
    next = Date.now() + Math.min(Math.max(CALM, SHARE * (Date.now() - begun)), EVERY);
    timer = null;
    if (again && !ended) wait();
  };
  const reader = (event) => {
    if (document.hidden || (event !== null && !concerns(event))) return;
    again = true;
    if (timer === null) wait();
  };
  const seen = () => document.hidden || reader(null);
  readers.add(reader);
  document.addEventListener("visibilitychange", seen);
  return () => {
    readers.delete(reader);
    document.removeEventListener("visibilitychange", seen);
    ended = true;
    clearTimeout(timer);
  };
}

// Call `act` again and again while the page is looked at, at the same share of time. Returns what ends that.
export function repeat(act, milliseconds) {
  let isOver = false;
  let timer = null;
  const turn = async () => {
    const begun = Date.now();
    if (!document.hidden) await Promise.resolve(act()).catch(() => {});
    if (!isOver) timer = setTimeout(turn, Math.max(milliseconds, SHARE * (Date.now() - begun)));
  };
  timer = setTimeout(turn, milliseconds);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

// Returns what ends all of these.
export const together = (...ends) => () => ends.forEach((end) => end());

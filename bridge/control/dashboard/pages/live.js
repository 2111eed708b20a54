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

// Call `act` soon after events for which `concerns` holds, at most once in a while. Returns what ends that.
export function onEvents(act, concerns = () => true) {
  let timer = null;
  let last = 0;
  const reader = (event) => {
    if (timer !== null || document.hidden || (event !== null && !concerns(event))) return;
    const wait = Math.max(150, last + CALM - Date.now());
    timer = setTimeout(() => {
      timer = null;
      last = Date.now();
      act();
    }, wait);
  };
  const seen = () => document.hidden || reader(null);
  readers.add(reader);
  document.addEventListener("visibilitychange", seen);
  return () => {
    readers.delete(reader);
    document.removeEventListener("visibilitychange", seen);
    clearTimeout(timer);
  };
}

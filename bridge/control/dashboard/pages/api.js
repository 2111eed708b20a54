// Asks the REST API (docs/api.md) of the bridge that served this page.

export class Problem extends Error {
  constructor(status, error, detail) {
    super(detail);
    this.status = status;
    this.error = error;
  }
}

export async function ask(method, path, { query, body, signal } = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") url.searchParams.append(name, String(one));
    }
  }
  const settings = { method, signal, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    settings.body = JSON.stringify(body);
    settings.headers["Content-Type"] = "application/json";
  }
  let response;
  try {
    response = await fetch(url, settings);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "Unreachable", "The bridge does not answer. Is it running, and is the network up?");
  }
  const answer = await response.text().then(read).catch(() => null);
  if (response.ok) return answer;
  if (response.status === 401 && path.startsWith("/v1/")) document.dispatchEvent(new CustomEvent("signed-out"));
  throw new Problem(response.status, answer?.error ?? "", answer?.detail ?? `the bridge answered ${response.status}`);
}

// JSON whose whole numbers keep all their digits: a bigint where a number has too few (from 2^53 on).
function read(text) {
  if (!/[0-9]{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_name, value, { source } = {}) => {
    const isLarge = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isLarge && /^-?[0-9]+$/.test(source ?? "") ? BigInt(source) : value;
  });
}

export const get = (path, query, signal) => ask("GET", path, { query, signal });
export const post = (path, body = {}) => ask("POST", path, { body });
export const remove = (path) => ask("DELETE", path);

// A path of an endpoint: names hold slashes and colons.
export const endpoint = (name, rest = "") => `/v1/endpoints/${encodeURIComponent(name)}${rest}`;

const SESSION = "/dashboard/session";

export const whoIsSignedIn = () => ask("GET", SESSION);
export const signIn = (asked) => ask("POST", SESSION, { body: asked });
export const signOut = () => ask("DELETE", SESSION);

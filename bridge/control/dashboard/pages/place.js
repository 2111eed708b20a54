// Where one is: #/page/part?a=b. A link to what is shown can be sent to a colleague.

export function addressOf(page, part, query) {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== "" && value !== undefined);
  const text = new URLSearchParams(given);
  const path = part === undefined ? page : `${page}/${encodeURIComponent(part)}`;
  return `#/${path}${text.size ? `?${text}` : ""}`;
}

export function here() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  let [page, ...rest] = path.split("/");
  let part = rest.length ? rest.join("/") : undefined;
  try {
    part = part && decodeURIComponent(part);
  } catch {
    // it was typed by hand: taken as it is
  }
  if (page === "devices" && part) page = "device"; // typed by hand
  return { page, part, query: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

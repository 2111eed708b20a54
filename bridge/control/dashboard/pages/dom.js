// Elements are made of nodes and text, never of markup: a name with "<" in it is shown as it is.

const SVG = "http://www.w3.org/2000/svg";

export function h(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false);
}

// Replace what an element holds. The focus stays where it was, if what has the same data-key is there again.
export function fill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...nodes(children));
  if (focused !== undefined) {
    for (const one of element.querySelectorAll("[data-key]")) {
      if (one.dataset.key === focused) one.focus({ preventScroll: true });
    }
  }
  return element;
}

let latest = 0;

export function unique(prefix) {
  latest += 1;
  return `${prefix}-${latest}`;
}

export function field(label, input) {
  input.id = input.id || unique("field");
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
}

export function select(options, chosen, onchange, attributes) {
  const made = h(
    "select",
    { ...attributes, onchange: () => onchange(made.value) },
    options.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );
  return made;
}

export function notice(text, kind = "info") {
  const place = document.getElementById("notices");
  const made = h("div", { class: `notice ${kind}` }, h("span", {}, text));
  made.append(h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: () => made.remove() }, "×"));
  place.append(made);
  setTimeout(() => made.remove(), kind === "bad" ? 20000 : 6000);
}

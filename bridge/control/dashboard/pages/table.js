// Cells that say what they are where there is no room for a row of headings.

import { h } from "./dom.js";

export function cell(label, attributes, ...children) {
  return h("td", { "data-label": label, ...attributes }, ...children);
}

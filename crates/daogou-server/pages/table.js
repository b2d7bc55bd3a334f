// A table of text: the first column names its row. Wide ones scroll in a box of their own.

import { add, h } from "./dom.js";

/** `head`: texts; `rows`: lists of texts or elements. `words`: it holds words rather than numbers. */
export function table({ head, rows, words = false, caption, name }) {
  const body = h("tbody", {});
  for (const row of rows) {
    const cells = row.map((cell, i) => (i === 0 ? h("th", { scope: "row" }, bdi(cell)) : h("td", {}, cell)));
    add(body, h("tr", {}, cells));
  }
  const own = h(
    "table",
    { class: words ? "words" : null },
    caption ? h("caption", {}, caption) : null,
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        head.map((text) => h("th", { scope: "col" }, text)),
      ),
    ),
    body,
  );
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": name ?? caption ?? head.join(", ") },
    own,
  );
}

const bdi = (cell) => (cell instanceof Node ? cell : h("bdi", {}, cell));

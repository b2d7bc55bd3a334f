// Searching a long list on the server: a field, rows, pages, and beside it what was chosen.

import { ask, inWords, isAbort } from "./api.js";
import { add, debounced, h, show, unique } from "./dom.js";
import { t } from "./language.js";
import { count } from "./numbers.js";

const PAGE = 25;

/**
 * `fetchPage(query, limit, offset)` gives a path, `pick(answer)` its rows, `row(entry, open)` a table row whose
 * button calls `open(id)`. `detail(id)` draws one entry; `extra` stands beside the search field.
 */
export async function browse({
  body,
  signal,
  label,
  hint,
  head,
  path,
  pick,
  row,
  detail,
  chosen,
  route,
  extra = [],
  create,
}) {
  const id = unique("search");
  const input = h("input", { id, type: "search", autocomplete: "off", spellcheck: "false" });
  const found = h("p", { class: "small muted", role: "status", "aria-live": "polite" });
  const rows = h("tbody", {});
  const table = h(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": label },
    h(
      "table",
      { class: "words fill" },
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((text) => h("th", { scope: "col" }, text)),
        ),
      ),
      rows,
    ),
  );
  const empty = h(
    "div",
    { class: "empty", hidden: true },
    h("p", {}, t("browse.none")),
    h("p", { class: "muted" }, t("browse.none.next")),
  );
  const before = h("button", { type: "button", class: "button small-button" }, t("browse.before"));
  const after = h("button", { type: "button", class: "button small-button" }, t("browse.after"));
  const side = h("div", { class: "detail" });
  let offset = 0;
  let asking = null;

  const load = async () => {
    asking?.abort();
    asking = new AbortController();
    const mine = asking;
    try {
      const answer = await ask("GET", path(input.value.trim(), PAGE, offset), { signal: mine.signal });
      if (mine !== asking) return;
      const entries = pick(answer);
      show(
        rows,
        entries.map((entry) => row(entry, open)),
      );
      found.textContent = t("browse.found", {
        n: count(answer.total),
        total: answer.total,
        from: count(Math.min(answer.total, offset + 1)),
        to: count(offset + entries.length),
      });
      table.hidden = entries.length === 0;
      empty.hidden = entries.length > 0;
      before.disabled = offset === 0;
      after.disabled = offset + entries.length >= answer.total;
      mark();
    } catch (error) {
      if (isAbort(error)) return;
      found.textContent = inWords(error);
    }
  };
  const mark = () => {
    for (const button of rows.querySelectorAll("button[data-id]"))
      button.setAttribute("aria-pressed", String(button.dataset.id === chosen));
  };
  let drawing = null;
  const open = async (own, { focus = true } = {}) => {
    chosen = own;
    history.replaceState(null, "", own === null ? `#/${route}` : `#/${route}?id=${encodeURIComponent(own)}`);
    mark();
    if (own === null) return show(side, h("div", { class: "empty" }, h("p", {}, t("browse.choose"))));
    drawing?.abort();
    drawing = new AbortController();
    const mine = drawing;
    show(side, h("p", { class: "loading" }, t("loading")));
    try {
      const drawn = await detail(own, mine.signal);
      if (mine.signal.aborted) return;
      show(side, drawn);
      if (focus) side.querySelector("h2")?.focus();
    } catch (error) {
      if (isAbort(error)) return;
      show(
        side,
        h(
          "div",
          { class: "empty", role: "alert" },
          h("p", {}, inWords(error)),
          h("button", { type: "button", class: "button", on: { click: () => open(own) } }, t("error.again")),
        ),
      );
    }
  };
  const search = debounced(200, signal, () => {
    offset = 0;
    load();
  });
  input.addEventListener("input", search);
  before.addEventListener("click", () => {
    offset = Math.max(0, offset - PAGE);
    load();
  });
  after.addEventListener("click", () => {
    offset += PAGE;
    load();
  });
  signal.addEventListener("abort", () => {
    asking?.abort();
    drawing?.abort();
  });
  const bar = h(
    "div",
    { class: "browse-bar" },
    h(
      "div",
      { class: "field" },
      h("label", { for: id }, label),
      input,
      hint ? h("p", { class: "small muted" }, hint) : null,
    ),
    extra,
  );
  const list = h(
    "section",
    { class: "panel" },
    bar,
    h("div", { class: "row between" }, found, create ?? null),
    table,
    empty,
    h("div", { class: "row" }, before, after),
  );
  show(body, h("div", { class: "browse" }, list, side));
  await Promise.all([load(), open(chosen, { focus: false })]);
  return { open, search, reload: load };
}

/** A button that opens an entry. */
export function opener(id, text, open) {
  const button = h("button", { type: "button", class: "quiet", "data-id": id }, h("bdi", {}, text));
  button.addEventListener("click", () => open(id));
  return button;
}

/** A heading that can take the focus when its panel is opened. */
export const heading = (text, ...rest) =>
  add(h("h2", { tabindex: "-1", class: "detail-name" }, h("bdi", {}, text)), rest);

// The catalogue: search, look at an item, change it, take it out of lists or out of the catalogue.

import { ask, inWords } from "./api.js";
import { attributesForm } from "./attributes.js";
import { browse, heading, opener } from "./browser.js";
import { openDialog } from "./dialog.js";
import { h, show, unique } from "./dom.js";
import { t } from "./language.js";
import { done, failed } from "./notices.js";
import { price } from "./numbers.js";
import { swatch } from "./phone.js";

export async function mount({ body, values, signal }) {
  show(body, h("p", { class: "loading" }, t("loading")));
  const { categories } = await ask("GET", "/v1/objectives", { signal });
  const id = unique("category");
  const category = h(
    "select",
    { id },
    h("option", { value: "" }, t("catalogue.category.all")),
    categories.map((name) => h("option", { value: name }, name)),
  );
  const create = h("button", { type: "button", class: "button" }, t("catalogue.new"));
  const pages = await browse({
    body,
    signal,
    route: "catalogue",
    label: t("catalogue.search"),
    head: [t("catalogue.item"), t("catalogue.id"), t("lists.category"), t("catalogue.price"), t("catalogue.available")],
    path: (query, limit, offset) =>
      `/v1/items?${new URLSearchParams({ query, limit, offset, ...(category.value ? { category: category.value } : {}) })}`,
    pick: ({ items }) => items,
    row: (item, open) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, opener(item.id, item.title || item.id, open)),
        h("td", {}, h("bdi", { class: "muted" }, item.id)),
        h("td", {}, h("bdi", {}, item.category ?? "–")),
        h("td", { class: "number" }, price(item.price)),
        h("td", {}, t(item.available ? "yes" : "no")),
      ),
    detail: async (own, detailSignal) =>
      itemPanel(
        await ask("GET", `/v1/items/${encodeURIComponent(own)}`, { signal: detailSignal }),
        categories,
        () => pages,
      ),
    chosen: values.get("id"),
    extra: [h("div", { class: "field" }, h("label", { for: id }, t("lists.category")), category)],
    create,
  });
  category.addEventListener("change", pages.search);
  create.addEventListener("click", async () => {
    const own = await createDialog(categories);
    if (!own) return;
    done(t("catalogue.created", { id: own }));
    await Promise.all([pages.reload(), pages.open(own)]);
  });
}

function itemPanel(item, categories, pages) {
  const path = `/v1/items/${encodeURIComponent(item.id)}`;
  const title = item.attributes.title || item.id;
  const available = h("input", { type: "checkbox", role: "switch", checked: item.available });
  const availableWord = h("span", {}, t(item.available ? "catalogue.is" : "catalogue.isnot"));
  available.addEventListener("change", async () => {
    available.disabled = true;
    try {
      await ask("PATCH", path, { body: { available: available.checked } });
      availableWord.textContent = t(available.checked ? "catalogue.is" : "catalogue.isnot");
      done(t(available.checked ? "catalogue.on" : "catalogue.off", { name: title }));
      pages().reload();
    } catch (error) {
      available.checked = !available.checked;
      failed(error);
    }
    available.disabled = false;
    available.focus();
  });
  const remove = h("button", { type: "button", class: "button" }, t("catalogue.delete"));
  remove.addEventListener("click", async () => {
    const gone = await openDialog({
      title: t("catalogue.delete.title", { name: title }),
      body: h("p", {}, t("catalogue.delete.why")),
      action: t("catalogue.delete"),
      danger: true,
      say: inWords,
      submit: () => ask("DELETE", path).then(() => true),
    });
    if (!gone) return;
    done(t("catalogue.deleted", { name: title }));
    await Promise.all([pages().reload(), pages().open(null)]);
  });
  return h(
    "section",
    { class: "panel" },
    h(
      "div",
      { class: "item-head" },
      swatch(item.attributes.category, categories),
      h(
        "div",
        {},
        heading(title),
        h(
          "p",
          { class: "small muted" },
          h("bdi", {}, item.id),
          " · ",
          t(`source.${item.source}`),
          item.known === false ? ` · ${t("catalogue.cold")}` : "",
        ),
      ),
    ),
    h("label", { class: "switch" }, available, availableWord),
    editor(path, item.attributes, () => Promise.all([pages().reload(), pages().open(item.id, { focus: false })])),
    h("div", { class: "danger-zone" }, remove),
  );
}

/** The attributes with a button that saves what changed. */
export function editor(path, attributes, saved) {
  const form = attributesForm(attributes);
  const problem = h("p", { class: "problem", role: "alert" });
  const go = h("button", { type: "submit", class: "button primary" }, t("attributes.save"));
  const element = h(
    "form",
    { class: "editor", novalidate: true },
    h("h3", {}, t("attributes.title")),
    form.element,
    problem,
    h("div", { class: "row" }, go),
  );
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      const changes = form.changes();
      if (Object.keys(changes).length === 0) {
        problem.textContent = t("attributes.unchanged");
        return;
      }
      go.disabled = true;
      await ask("PATCH", path, { body: { attributes: changes } });
      done(t("attributes.saved"));
      await saved();
    } catch (error) {
      problem.textContent = inWords(error);
    } finally {
      go.disabled = false;
    }
  });
  return element;
}

function createDialog(categories) {
  const field = (name, input) => [h("label", { for: input.id }, t(`catalogue.${name}`)), input];
  const text = (extra) =>
    h("input", { id: unique("new"), type: "text", autocomplete: "off", spellcheck: "false", ...extra });
  const [id, title, cost] = [text(), text(), text({ inputmode: "decimal" })];
  const category = h(
    "select",
    { id: unique("new") },
    h("option", { value: "" }, "–"),
    categories.map((name) => h("option", { value: name }, name)),
  );
  return openDialog({
    title: t("catalogue.new"),
    body: [
      h("p", { class: "small muted" }, t("catalogue.new.note")),
      field("id", id),
      field("title", title),
      h("label", { for: category.id }, t("lists.category")),
      category,
      field("price", cost),
    ],
    action: t("catalogue.new.action"),
    say: inWords,
    submit: async () => {
      const own = id.value.trim();
      if (!own) throw new Error(t("catalogue.noid"));
      const attributes = {};
      if (title.value.trim()) attributes.title = title.value.trim();
      if (category.value) attributes.category = category.value;
      if (cost.value.trim()) {
        const number = Number(cost.value);
        if (!Number.isFinite(number)) throw new Error(t("attributes.number", { name: "price", text: cost.value }));
        attributes.price = number;
      }
      await ask("PUT", `/v1/items/${encodeURIComponent(own)}`, { body: { available: true, attributes } });
      return own;
    },
  });
}

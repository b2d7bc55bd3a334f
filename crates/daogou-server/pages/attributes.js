// The attributes of an item or a user as a form: one row each, text or number, more can be added. What comes out is
// what changed, in the form of a merge: `null` takes an attribute away.

import { h, unique } from "./dom.js";
import { t } from "./language.js";

/** `{ element, changes(), first }`; `changes()` throws a sentence where a row cannot be read. */
export function attributesForm(attributes) {
  const rows = [];
  const list = h("div", { class: "attributes" });
  const put = (name, value, fresh) => {
    const [nameId, id] = [unique("attribute"), unique("value")];
    const isNumber = typeof value === "number";
    const isText = typeof value === "string" || value === null || fresh;
    const nameInput = fresh
      ? h("input", {
          id: nameId,
          type: "text",
          autocomplete: "off",
          spellcheck: "false",
          "aria-label": t("attributes.name"),
        })
      : null;
    const input = h("input", {
      id,
      type: "text",
      inputmode: isNumber ? "decimal" : null,
      autocomplete: "off",
      value: isText ? (value ?? "") : JSON.stringify(value),
    });
    if (fresh) input.setAttribute("aria-label", t("attributes.value"));
    const remove = h(
      "button",
      { type: "button", class: "quiet", "aria-label": t("attributes.remove", { name: name ?? "" }) },
      "×",
    );
    const element = h(
      "div",
      { class: "attribute" },
      fresh ? nameInput : h("label", { for: id }, h("bdi", {}, name)),
      input,
      remove,
    );
    const row = { name, nameInput, input, value, isNumber, isText, fresh, element };
    remove.addEventListener("click", () => {
      rows.splice(rows.indexOf(row), 1);
      element.remove();
      more.focus();
    });
    rows.push(row);
    more.before(element);
    return row;
  };
  const more = h("button", { type: "button", class: "button small-button" }, t("attributes.add"));
  more.addEventListener("click", () => put(null, undefined, true).nameInput.focus());
  list.append(more);
  for (const [name, value] of Object.entries(attributes)) put(name, value, false);

  const read = (row, name) => {
    const text = row.input.value;
    if (row.isNumber) {
      const number = Number(text.replace(/,/g, ""));
      if (text.trim() === "" || !Number.isFinite(number)) throw new Error(t("attributes.number", { name, text }));
      return number;
    }
    if (row.value === null && text === "") return null;
    if (row.fresh || row.value === null) return /^-?\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : text;
    if (row.isText) return text;
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(t("attributes.json", { name, text }));
    }
  };
  return {
    element: list,
    changes() {
      const changes = {};
      const here = new Set();
      for (const row of rows) {
        const name = row.fresh ? row.nameInput.value.trim() : row.name;
        if (!name && row.input.value === "") continue;
        if (!name) throw new Error(t("attributes.noname"));
        if (here.has(name)) throw new Error(t("attributes.twice", { name }));
        here.add(name);
        const value = read(row, name);
        if (JSON.stringify(value) !== JSON.stringify(attributes[name])) changes[name] = value;
      }
      for (const name of Object.keys(attributes)) if (!here.has(name)) changes[name] = null;
      return changes;
    },
  };
}

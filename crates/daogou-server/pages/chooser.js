// A field that offers what it finds while one types: a combobox with a list, by keyboard or pointer. What is typed
// counts as well, so that somebody nobody knows can be asked for.

import { add, debounced, h, show, unique } from "./dom.js";
import { t } from "./language.js";

/** `find(text, signal)` gives `[{ value, note }]`; `choose(value)` is called with what was chosen or typed. */
export function chooser({ label, value, find, choose, signal, failed }) {
  const [id, listId] = [unique("chooser"), unique("choices")];
  const input = h("input", {
    id,
    type: "text",
    role: "combobox",
    "aria-expanded": "false",
    "aria-controls": listId,
    "aria-autocomplete": "list",
    autocomplete: "off",
    spellcheck: "false",
    value: value ?? "",
  });
  const list = h("ul", { id: listId, class: "choices", role: "listbox", "aria-label": label, hidden: true });
  let current = value ?? "";
  let active = -1;
  let asking = null;

  const close = () => {
    list.hidden = true;
    active = -1;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const take = (text) => {
    close();
    asking?.abort();
    const chosen = text.trim();
    if (!chosen) {
      input.value = current;
      return;
    }
    input.value = chosen;
    if (chosen !== current) {
      current = chosen;
      choose(chosen);
    }
  };
  const options = () => [...list.querySelectorAll("[role=option]")];
  const point = (n) => {
    const own = options();
    if (own.length === 0) return;
    active = (n + own.length) % own.length;
    own.forEach((option, i) => option.setAttribute("aria-selected", String(i === active)));
    own[active].scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", own[active].id);
  };
  const offer = async () => {
    asking?.abort();
    asking = new AbortController();
    const own = asking.signal;
    try {
      const found = await find(input.value.trim() === current ? "" : input.value.trim(), own);
      if (own.aborted || document.activeElement !== input) return;
      show(list);
      for (const { value: text, note } of found) {
        const option = h(
          "li",
          { id: unique("choice"), role: "option", "aria-selected": "false" },
          h("bdi", {}, text),
          note ? h("span", { class: "muted small" }, note) : null,
        );
        option.addEventListener("pointerdown", (event) => {
          event.preventDefault();
          take(text);
        });
        add(list, option);
      }
      if (found.length === 0)
        add(
          list,
          h(
            "li",
            { class: "muted", role: "option", "aria-disabled": "true", "aria-selected": "false" },
            t("chooser.none"),
          ),
        );
      list.hidden = false;
      active = -1;
      input.setAttribute("aria-expanded", "true");
    } catch (error) {
      failed(error);
    }
  };
  const soon = debounced(150, signal, offer);
  input.addEventListener("input", soon);
  input.addEventListener("focus", () => {
    input.select();
    soon();
  });
  input.addEventListener("blur", () => take(input.value));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) offer();
      else point(active + (event.key === "ArrowDown" ? 1 : active < 0 ? 0 : -1));
    } else if (event.key === "Enter") {
      event.preventDefault();
      const option = options()[active];
      take(option && !option.hasAttribute("aria-disabled") ? option.querySelector("bdi").textContent : input.value);
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      input.value = current;
      close();
    }
  });
  signal.addEventListener("abort", () => asking?.abort());
  return h(
    "div",
    { class: "field chooser" },
    h("label", { for: id }, label),
    h("div", { class: "chooser-box" }, input, list),
  );
}

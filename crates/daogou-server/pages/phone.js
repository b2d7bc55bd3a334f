// The phone screen: a list as a person would meet it. Cards keep their element while their item stays, so that what
// moves can be seen moving.

import { add, h, show } from "./dom.js";
import { named, t } from "./language.js";
import { percent, price } from "./numbers.js";

/** A picture's place: a hue of the category's own and its first letters. */
export function swatch(category, categories) {
  const number = categories.indexOf(category);
  // Golden angle: neighbours in number are far apart in hue.
  const hue = (Math.max(0, number) * 137 + 205) % 360;
  const letters = category ? [...category].slice(0, 2).join("") : "?";
  return h(
    "span",
    { class: category ? "swatch" : "swatch plain", css: { "--h": hue }, "aria-hidden": "true" },
    letters,
  );
}

/**
 * The objective over whole lists that an item stands here for, where that gained more than the item earns by
 * itself.
 */
export function standsFor(item) {
  const c = item.contributions;
  if (!c) return null;
  const own = (c.click ?? 0) + (c.purchase ?? 0) + (c.revenue ?? 0) + (c.bonus ?? 0);
  const [name, gain] =
    (c.diversity ?? 0) >= (c.novelty ?? 0) ? ["diversity", c.diversity ?? 0] : ["novelty", c.novelty ?? 0];
  return gain > own || (item.reasons?.displaced && gain > 0) ? name : null;
}

/** An empty phone; `show(items, categories, change)` fills it. `change(id)` says what became of an item. */
export function phone(label) {
  const cards = h("ol", { class: "cards", "aria-label": label });
  const element = h("div", { class: "phone" }, h("div", { class: "notch", "aria-hidden": "true" }), cards);
  const own = new Map();
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  return {
    element,
    show(items, categories, change) {
      const before = new Map([...own].map(([id, card]) => [id, card.getBoundingClientRect().top]));
      for (const [id, card] of own) {
        if (!items.some((item) => item.item_id === id)) {
          card.remove();
          own.delete(id);
        }
      }
      items.forEach((item, place) => {
        const card = own.get(item.item_id) ?? h("li", { class: "card" });
        own.set(item.item_id, card);
        fill(card, item, categories, change?.(item.item_id));
        if (cards.children[place] !== card) cards.insertBefore(card, cards.children[place] ?? null);
      });
      if (still.matches || before.size === 0) return;
      for (const [id, card] of own) {
        const was = before.get(id);
        if (was === undefined) {
          card.animate(
            [
              { opacity: 0, transform: "scale(0.96)" },
              { opacity: 1, transform: "none" },
            ],
            { duration: 260, easing: "ease-out" },
          );
        } else {
          const far = was - card.getBoundingClientRect().top;
          if (Math.abs(far) > 1)
            card.animate([{ transform: `translateY(${far}px)` }, { transform: "none" }], {
              duration: 320,
              easing: "cubic-bezier(.2,.7,.2,1)",
            });
        }
      }
    },
  };
}

function fill(card, item, categories, change) {
  const heads = Object.entries(item.heads ?? {}).map(([task, p]) => `${named("objective", task)} ${percent(p)}`);
  const why = standsFor(item);
  const badges = [];
  if (change) badges.push(h("b", { class: "badge change" }, change));
  if (why) badges.push(h("b", { class: "badge" }, t(`badge.${why}`)));
  if (item.reasons?.moved_by) badges.push(h("b", { class: "badge" }, item.reasons.moved_by));
  const displaced = item.reasons?.displaced ? item.reasons.displaced_title || item.reasons.displaced : null;
  const title = h(
    "a",
    { href: `#/catalogue?id=${encodeURIComponent(item.item_id)}` },
    h("bdi", {}, item.title || item.item_id),
  );
  show(
    card,
    swatch(item.category, categories),
    h(
      "div",
      { class: "about" },
      h("p", { class: "title" }, title),
      h(
        "p",
        { class: "meta" },
        item.category ? h("bdi", {}, item.category) : null,
        typeof item.price === "number" ? h("span", { class: "price" }, price(item.price)) : null,
      ),
      heads.length ? h("p", { class: "meta" }, heads.join(" · ")) : null,
      badges.length || displaced
        ? add(
            h("p", { class: "badges" }),
            badges,
            displaced ? h("span", { class: "instead" }, t("lists.instead"), " ", h("bdi", {}, displaced)) : null,
          )
        : null,
    ),
  );
}

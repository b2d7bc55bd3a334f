// A small phone shop in memory: items, users, and lists that really follow the weights asked for.

import { luck, normal, seedOf } from "./mock-luck.js";

export const CATEGORIES = [
  "flagship",
  "mid",
  "budget",
  "case",
  "charger",
  "earphone",
  "foldable",
  "watch",
  "tablet",
  "gaming",
  "film",
  "refurbished",
];
const PRICES = [5600, 2700, 1100, 90, 160, 380, 9000, 1500, 2900, 4200, 40, 1300];
const BRANDS = ["Lumea", "Brisk", "Tundra", "Hanlu", "Mirado", "Zephyra", "Amberly", "Kairo", "Vanto", "Quanta"];
const MODELS = [
  ["Zenith", "Apex"],
  ["Nova", "Vista"],
  ["Note", "Dash"],
  ["Shell Case", "Clear Case"],
  ["Volt Charger", "Dock"],
  ["Buds", "Tone"],
  ["Fold", "Flip"],
  ["Pulse Watch", "Band"],
  ["Slate", "Tab"],
  ["Blade", "Havoc"],
  ["Privacy Film", "Guard"],
  ["Again", "Second"],
];
export const OBJECTIVES = { click: 1, purchase: 3, revenue: 0, diversity: 0.3, novelty: 0.1 };

/** The shop as it is when the server starts. */
export function openShop() {
  const next = luck(7);
  const items = new Map();
  for (let i = 0; i < 260; i += 1) {
    const c = Math.floor(next() ** 1.4 * CATEGORIES.length);
    const brand = BRANDS[Math.floor(next() * BRANDS.length)];
    const id = `i${String(i).padStart(5, "0")}`;
    const price = Math.round(PRICES[c] * Math.exp(0.3 * normal(next)));
    const title = `${brand} ${MODELS[c][Math.floor(next() * 2)]} ${1 + Math.floor(next() * 14)}`;
    items.set(id, {
      id,
      available: next() > 0.03,
      source: "model",
      attributes: { title, category: CATEGORIES[c], price, brand, launch_age: Math.floor(next() * 900) },
    });
  }
  const users = new Map();
  for (let i = 0; i < 1200; i += 1) {
    const id = `u${String(i).padStart(5, "0")}`;
    users.set(id, {
      id,
      source: "model",
      attributes: {
        age: ["18-24", "25-34", "35-44", "45+"][Math.floor(next() * 4)],
        city_tier: String(1 + Math.floor(next() * 4)),
        budget: ["low", "mid", "high"][Math.floor(next() * 3)],
      },
    });
  }
  return { items, users, events: new Set() };
}

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

/** What is wanted by somebody. */
function wishesOf(user) {
  const next = luck(seedOf(`wish ${user}`));
  const raw = CATEGORIES.map((_, c) => Math.exp(0.9 * normal(next)) / (1 + c / 5));
  const sum = raw.reduce((a, b) => a + b, 0);
  return { mix: raw.map((x) => x / sum), novelty: 0.25 + 0.5 * next() };
}

function scoresOf(user, item, wishes) {
  const next = luck(seedOf(`${user} ${item.id}`));
  const quality = luck(seedOf(item.id));
  const c = CATEGORIES.indexOf(item.attributes.category);
  const taste = c < 0 ? 0 : 0.55 * Math.log(wishes.mix[c] * CATEGORIES.length);
  return {
    item,
    c,
    click: sigmoid(-2.9 + taste + 0.5 * normal(quality) + 0.25 * normal(next)),
    purchase: sigmoid(-2.3 + 0.4 * normal(quality) + 0.3 * normal(next)),
    seen: next() < 0.45,
  };
}

/** `brand = "x" and price <= 3000` as a test of attributes; throws a sentence. */
export function filterOf(text) {
  const tests = text.split(/\s+and\s+/i).map((part) => {
    const match = /^\s*(\w+)\s*(<=|>=|!=|=|<|>)\s*(?:"([^"]*)"|(-?\d+(?:\.\d+)?))\s*$/.exec(part);
    if (!match) throw new Error(`expected a condition such as \`price <= 3000\`, got \`${part.trim()}\``);
    const [, column, sign, word, number] = match;
    const value = word ?? Number(number);
    if (!["title", "category", "price", "brand", "launch_age"].includes(column))
      throw new Error(`expected a column of the catalogue, got \`${column}\``);
    const signs = {
      "=": (a) => a === value,
      "!=": (a) => a !== value,
      "<": (a) => a < value,
      ">": (a) => a > value,
      "<=": (a) => a <= value,
      ">=": (a) => a >= value,
    };
    return (attributes) => signs[sign](attributes[column]);
  });
  return (attributes) => tests.every((test) => test(attributes));
}

/** The list for a request: greedy on expected value, closeness to the wanted mix, and newness. */
export function recommend(shop, { user, k = 10, objectives, explore = 0, filter, exclude = [] }) {
  const known = shop.users.has(user);
  const wishes = wishesOf(known ? user : "newcomer");
  const w = { ...Object.fromEntries(Object.keys(OBJECTIVES).map((name) => [name, 0])), ...objectives };
  const pass = filter ? filterOf(filter) : () => true;
  const out = new Set(exclude);
  const wanted = wishes.mix.map((p) => (1 - explore) * p + explore / CATEGORIES.length);
  const wantedNew = (1 - explore) * wishes.novelty + explore;
  const pool = [...shop.items.values()]
    .filter((item) => item.available && !out.has(item.id) && pass(item.attributes))
    .map((item) => scoresOf(user, item, wishes));
  for (const s of pool) {
    s.parts = {
      click: w.click * s.click,
      purchase: w.purchase * s.click * s.purchase,
      revenue: w.revenue * s.click * s.purchase * (s.item.attributes.price ?? 0),
      bonus: 0,
    };
    s.own = s.parts.click + s.parts.purchase + s.parts.revenue;
  }
  pool.sort((a, b) => b.own - a.own || (a.item.id < b.item.id ? -1 : 1));
  const kl = (counts, n) =>
    wanted.reduce(
      (sum, p, c) => sum + p * Math.log(p / (0.9 * (counts[c] / Math.max(1, n)) + 0.1 / CATEGORIES.length)),
      0,
    );
  const counts = CATEGORIES.map(() => 0);
  let [fresh, list] = [0, []];
  while (list.length < k && list.length < pool.length) {
    const n = list.length + 1;
    let best = null;
    for (const s of pool) {
      if (list.some((chosen) => chosen.item === s.item)) continue;
      const next = counts.slice();
      if (s.c >= 0) next[s.c] += 1;
      const diversity = w.diversity * 0.45 * Math.max(-0.5, kl(counts, n - 1 || 1) - kl(next, n));
      const short = (share) => Math.max(0, wantedNew - share) ** 2;
      const novelty = w.novelty * n * Math.max(0, short(fresh / n) - short((fresh + (s.seen ? 0 : 1)) / n));
      const gain = s.own + diversity + novelty;
      if (!best || gain > best.gain) best = { s, gain, diversity, novelty };
    }
    list.push({ ...best.s, parts: { ...best.s.parts, diversity: best.diversity, novelty: best.novelty } });
    if (best.s.c >= 0) counts[best.s.c] += 1;
    fresh += best.s.seen ? 0 : 1;
  }
  const top = pool.slice(0, list.length).filter((s) => !list.some((chosen) => chosen.item === s.item));
  list.sort((a, b) => b.own - a.own || (a.item.id < b.item.id ? -1 : 1));
  const items = list.map((s) => {
    const displaced = pool.indexOf(pool.find((own) => own.item === s.item)) >= list.length ? top.shift() : null;
    const { title, category, price } = s.item.attributes;
    const reasons = { moved_by: null, displaced: displaced?.item.id ?? null };
    if (displaced?.item.attributes.title) reasons.displaced_title = displaced.item.attributes.title;
    return {
      item_id: s.item.id,
      ...(title ? { title } : {}),
      ...(category ? { category } : {}),
      ...(typeof price === "number" ? { price } : {}),
      score: s.own,
      heads: { click: s.click, purchase: s.purchase },
      contributions: s.parts,
      reasons,
    };
  });
  const n = Math.max(1, list.length);
  const shares = counts.map((x) => x / n).filter(Boolean);
  const expected = (of) => list.reduce((sum, s) => sum + of(s), 0);
  const pairs = list.flatMap((a, i) => list.slice(i + 1).map((b) => (a.c === b.c ? 0.4 : 1)));
  return {
    user,
    known,
    items,
    list: {
      expected_clicks: expected((s) => s.click),
      expected_orders: expected((s) => s.click * s.purchase),
      expected_revenue: expected((s) => s.click * s.purchase * (s.item.attributes.price ?? 0)),
      kl: list.length ? kl(counts, n) : null,
      novelty: list.length ? fresh / n : null,
      entropy: list.length ? -shares.reduce((sum, p) => sum + p * Math.log(p), 0) : null,
      distance: pairs.length ? pairs.reduce((a, b) => a + b, 0) / pairs.length : null,
    },
    wanted: { mix: Object.fromEntries(CATEGORIES.map((name, c) => [name, wanted[c]])), novelty: wantedNew },
  };
}

/** What somebody did lately, newest first. */
export function recentOf(shop, user) {
  const next = luck(seedOf(`recent ${user}`));
  const all = [...shop.items.values()];
  const n = Math.floor(4 + next() * 22);
  let time = Math.floor(Date.now() / 1000) - Math.floor(next() * 4000);
  return Array.from({ length: n }, () => {
    const item = all[Math.floor(next() * all.length)];
    time -= Math.floor(60 + next() * 9000);
    const roll = next();
    return {
      type: roll < 0.72 ? "impression" : roll < 0.93 ? "click" : roll < 0.97 ? "cart" : "purchase",
      item: item.id,
      ...(item.attributes.title ? { title: item.attributes.title } : {}),
      timestamp: time,
    };
  });
}

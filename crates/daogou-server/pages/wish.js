// What the Lists page asks for: a person, weights, limits. Kept while the page is open, and written into the address,
// so that a list can be sent to somebody as a link.

/** The wish of the moment. `weights` and `explore` are `null` until the server's own are known. */
export const wish = {
  user: null,
  weights: null,
  explore: null,
  preset: null,
  filter: "",
  context: {},
  k: null,
  builder: "auto",
};

/** Takes weights from elsewhere: a preset, a point of the front. Objectives that are not named weigh nothing. */
export function apply({ objectives, explore, preset = null }) {
  const names = Object.keys({ ...wish.weights, ...objectives });
  wish.weights = Object.fromEntries(names.map((name) => [name, objectives[name] ?? 0]));
  wish.explore = explore ?? 0;
  wish.preset = preset;
}

/** Takes what an address says. */
export function read(values) {
  const number = (text) => (text !== null && text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : null);
  if (values.get("user")) wish.user = values.get("user");
  if (values.has("filter")) wish.filter = values.get("filter");
  if (values.get("builder")) wish.builder = values.get("builder");
  const k = number(values.get("k"));
  if (k !== null && Number.isInteger(k) && k > 0) wish.k = k;
  const explore = number(values.get("explore"));
  if (explore !== null) wish.explore = Math.min(1, Math.max(0, explore));
  const weights = {};
  for (const [name, text] of values) {
    const value = number(text);
    if (name.startsWith("w.") && value !== null && value >= 0) weights[name.slice(2)] = value;
    if (name.startsWith("c.") && text) wish.context[name.slice(2)] = text;
  }
  if (Object.keys(weights).length > 0) {
    wish.weights = weights;
    wish.preset = values.get("preset");
  }
}

/** The address that says the same. */
export function written() {
  const values = new URLSearchParams();
  if (wish.user) values.set("user", wish.user);
  for (const [name, weight] of Object.entries(wish.weights ?? {})) values.set(`w.${name}`, String(weight));
  if (wish.explore) values.set("explore", String(wish.explore));
  if (wish.preset) values.set("preset", wish.preset);
  if (wish.k) values.set("k", String(wish.k));
  if (wish.builder !== "auto") values.set("builder", wish.builder);
  if (wish.filter) values.set("filter", wish.filter);
  for (const [name, value] of Object.entries(wish.context)) if (value) values.set(`c.${name}`, value);
  return `#/lists?${values}`;
}

/** The request. */
export function asked() {
  const context = Object.fromEntries(Object.entries(wish.context).filter(([, value]) => value));
  const body = {
    user: wish.user,
    k: wish.k,
    objectives: wish.weights,
    explore: wish.explore,
    builder: wish.builder,
    explain: true,
    preview: true,
  };
  if (wish.filter.trim()) body.filter = wish.filter.trim();
  if (Object.keys(context).length > 0) body.context = context;
  return body;
}

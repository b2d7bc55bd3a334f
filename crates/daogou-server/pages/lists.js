// Lists: choose a person, turn the weights, see the phone screen, and read what changed and why.

import { ask, inWords, isAbort, Refused } from "./api.js";
import { compare, contributions, OBJECTIVES } from "./changes.js";
import { figure, stackedRows } from "./chart.js";
import { chooser } from "./chooser.js";
import { add, debounced, h, show, unique } from "./dom.js";
import { named, sentence, t } from "./language.js";
import { failed } from "./notices.js";
import { fixed, percent, price, short, signed, signedPercent } from "./numbers.js";
import { phone } from "./phone.js";
import { deletePreset, savePreset } from "./presets.js";
import { onEvent } from "./stream.js";
import { apply, asked, read, wish, written } from "./wish.js";

/** Highest weights that sliders offer at first; what is typed may be higher. */
const MOST = { click: 5, purchase: 20, revenue: 0.02, diversity: 3, novelty: 3 };

/** A turn of a weight that follows another so soon belongs to it: both are compared with the list before the first. */
const GESTURE = 1500;

export async function mount({ body, values, signal }) {
  show(body, h("p", { class: "loading" }, t("loading")));
  const [offer, stored] = await Promise.all([
    ask("GET", "/v1/objectives", { signal }),
    ask("GET", "/v1/presets", { signal }),
  ]);
  const own = Object.fromEntries(offer.objectives.map(({ name, weight }) => [name, weight]));
  read(values);
  wish.weights = wish.weights
    ? Object.fromEntries(Object.keys(own).map((name) => [name, wish.weights[name] ?? 0]))
    : { ...own };
  wish.explore ??= offer.explore;
  wish.k ??= offer.k;
  if (!wish.user) {
    const people = await ask("GET", "/v1/users?limit=1", { signal });
    wish.user = people.users[0]?.id ?? "someone-new";
  }
  let presets = stored.presets;

  // What is asked and what came back.
  let before = null;
  let now = null;
  let held = null;
  let lastTurn = -Infinity;
  let asking = null;

  const result = resultOf(offer);
  const controls = h("form", {
    class: "panel controls",
    "aria-label": t("lists.controls"),
    on: { submit: (event) => event.preventDefault() },
  });
  const problems = new Map();

  const request = async () => {
    asking?.abort();
    asking = new AbortController();
    const mine = asking;
    result.busy(true);
    try {
      const answer = await ask("POST", "/v1/recommend", { body: asked(), signal: mine.signal, again: true });
      if (mine !== asking) return;
      for (const say of problems.values()) say("");
      now = answer;
      result.show(now, held ?? (before?.user === now.user ? before : null), Boolean(held));
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof Refused)) console.error(error);
      const field = [...problems.keys()].find((key) => error.key === key || error.key?.startsWith(`${key}.`));
      for (const [key, say] of problems)
        say(key === field ? [error.message, error.hint].filter(Boolean).map(sentence).join(" ") : "");
      result.refused(field ? t("lists.stale") : inWords(error));
    } finally {
      if (mine === asking) result.busy(false);
    }
  };
  const soon = debounced(120, signal, request);
  signal.addEventListener("abort", () => asking?.abort());

  /** Something was changed; `turn`: it may be on its way, as a slider is. */
  const changed = (turn = false) => {
    const time = performance.now();
    if (!turn || time - lastTurn > GESTURE) before = now;
    lastTurn = turn ? time : -Infinity;
    history.replaceState(null, "", written());
    soon();
  };

  result.onHold(() => {
    held = held ? null : now;
    result.show(now, held ?? before, Boolean(held));
  });

  // Weights.
  const sliders = new Map();
  const weights = h("fieldset", { class: "weights" }, h("legend", {}, t("lists.weights")));
  for (const { name, available } of offer.objectives) {
    const slider = weightSlider({
      name,
      available,
      most: Math.max(MOST[name] ?? 5, 4 * own[name]),
      value: wish.weights[name],
    });
    slider.onChange((value) => {
      wish.weights[name] = value;
      unnamed();
      changed(true);
    });
    sliders.set(name, slider);
    add(weights, slider.element);
  }
  const explore = weightSlider({ name: "explore", available: true, most: 1, linear: true, value: wish.explore });
  explore.onChange((value) => {
    wish.explore = value;
    unnamed();
    changed(true);
  });
  add(weights, explore.element);

  // Presets.
  const presetId = unique("preset");
  const presetSelect = h("select", { id: presetId });
  const remove = h("button", { type: "button", class: "button small-button" }, t("preset.delete"));
  const save = h("button", { type: "button", class: "button small-button" }, t("preset.save"));
  const offerPresets = () => {
    show(presetSelect, h("option", { value: "" }, t("preset.own")));
    for (const { name } of presets) add(presetSelect, h("option", { value: `p:${name}` }, name));
    presetSelect.value = wish.preset && presets.some(({ name }) => name === wish.preset) ? `p:${wish.preset}` : "";
    remove.hidden = presets.find(({ name }) => name === wish.preset)?.source !== "store";
  };
  const unnamed = () => {
    wish.preset = null;
    presetSelect.value = "";
    remove.hidden = true;
  };
  const setSliders = () => {
    for (const [name, slider] of sliders) slider.set(wish.weights[name]);
    explore.set(wish.explore);
  };
  presetSelect.addEventListener("change", () => {
    const chosen = presets.find(({ name }) => `p:${name}` === presetSelect.value);
    if (chosen) apply({ ...chosen, explore: chosen.explore ?? offer.explore, preset: chosen.name });
    else wish.preset = null;
    setSliders();
    offerPresets();
    if (chosen) changed();
  });
  const reloadPresets = async () => {
    try {
      presets = (await ask("GET", "/v1/presets", { signal })).presets;
      offerPresets();
    } catch (error) {
      failed(error);
    }
  };
  onEvent("presets", signal, reloadPresets);
  save.addEventListener("click", async () => {
    const name = await savePreset({
      objectives: wish.weights,
      explore: wish.explore,
      known: presets.map((p) => p.name),
    });
    if (!name) return;
    wish.preset = name;
    history.replaceState(null, "", written());
    await reloadPresets();
  });
  remove.addEventListener("click", async () => {
    const name = wish.preset;
    if (!(await deletePreset(name))) return;
    unnamed();
    await reloadPresets();
    presetSelect.focus();
  });
  const back = h("button", { type: "button", class: "button small-button" }, t("lists.reset"));
  back.addEventListener("click", () => {
    apply({ objectives: own, explore: offer.explore });
    setSliders();
    offerPresets();
    changed();
  });
  offerPresets();

  // Who.
  const who = chooser({
    label: t("lists.user"),
    value: wish.user,
    signal,
    failed,
    find: async (text, own) => {
      const found = await ask("GET", `/v1/users?limit=12&query=${encodeURIComponent(text)}`, { signal: own });
      return found.users.map(({ id }) => ({ value: id, note: "" }));
    },
    choose: (user) => {
      wish.user = user;
      held = null;
      changed();
    },
  });

  // Limits and surroundings.
  const filter = textField({
    label: t("lists.filter"),
    hint: t("lists.filter.hint"),
    value: wish.filter,
    key: "filter",
    problems,
  });
  filter.input.addEventListener("input", () => {
    wish.filter = filter.input.value;
    changed(true);
  });
  const k = textField({ label: t("lists.k"), value: wish.k, key: "k", problems, type: "number" });
  k.input.min = 1;
  k.input.max = 100;
  k.input.addEventListener("input", () => {
    const n = k.input.valueAsNumber;
    if (!Number.isInteger(n) || n < 1) return;
    wish.k = n;
    changed();
  });
  const builderId = unique("builder");
  const builder = h(
    "select",
    { id: builderId },
    offer.builders.map((name) => h("option", { value: name, selected: name === wish.builder }, named("builder", name))),
  );
  builder.addEventListener("change", () => {
    wish.builder = builder.value;
    changed();
  });
  const context = offer.context.map(({ name, values: known }) => {
    const id = unique("context");
    const value = wish.context[name] ?? "";
    const set = (text) => {
      wish.context[name] = text;
      changed();
    };
    let input;
    if (known) {
      input = h(
        "select",
        { id },
        h("option", { value: "" }, t("lists.context.any")),
        known.map((text) => h("option", { value: text, selected: text === value }, text)),
      );
      input.addEventListener("change", () => set(input.value));
    } else {
      input = h("input", { id, type: "text", value, autocomplete: "off" });
      input.addEventListener("input", () => set(input.value.trim()));
    }
    const problem = h("p", { class: "problem" });
    problems.set(`context.${name}`, (text) => {
      problem.textContent = text;
    });
    return h("div", { class: "field" }, h("label", { for: id }, h("bdi", {}, named("context", name))), input, problem);
  });

  add(
    controls,
    who,
    h(
      "div",
      { class: "field" },
      h("label", { for: presetId }, t("lists.preset")),
      presetSelect,
      h("div", { class: "row" }, save, remove, back),
    ),
    weights,
    h(
      "div",
      { class: "field-row" },
      k.element,
      h("div", { class: "field" }, h("label", { for: builderId }, t("lists.builder")), builder),
    ),
    filter.element,
    result.peek,
    context.length
      ? h(
          "details",
          { open: Object.values(wish.context).some(Boolean) },
          h("summary", {}, t("lists.context")),
          h("div", { class: "field-row" }, context),
        )
      : null,
  );
  show(body, h("div", { class: "lists" }, controls, result.screen, result.reasons));
  history.replaceState(null, "", written());
  onEvent("items", signal, soon);
  onEvent("models", signal, soon);
  await request();
}

/** One weight: a slider that is finer near nothing, and a field for the exact number. */
function weightSlider({ name, available, most, value, linear = false }) {
  const [id, hintId] = [unique("weight"), unique("hint")];
  let top = Math.max(most, value);
  let listener = () => {};
  const at = (weight) => (linear ? weight / top : Math.sqrt(weight / top)) * 100;
  const of = (place) => (linear ? place / 100 : (place / 100) ** 2) * top;
  const label = named("objective", name);
  const hint = !available ? t("lists.unavailable") : name in MOST || linear ? t(`hint.${name}`) : "";
  const range = h("input", {
    id,
    type: "range",
    min: 0,
    max: 100,
    step: 1,
    "aria-describedby": hintId,
    disabled: !available,
  });
  const exact = h("input", {
    type: "number",
    min: 0,
    max: linear ? 1 : null,
    step: "any",
    inputmode: "decimal",
    "aria-label": t("lists.exact", { name: label }),
    disabled: !available,
  });
  const say = (weight) => {
    range.value = String(at(weight));
    range.setAttribute("aria-valuetext", short(weight));
    range.style.setProperty("--at", `${at(weight)}%`);
  };
  const set = (weight) => {
    top = Math.max(top, weight);
    exact.value = String(weight);
    say(weight);
  };
  range.addEventListener("input", () => {
    // Two digits that count are enough for a slider.
    const weight = Number(of(Number(range.value)).toPrecision(2));
    exact.value = String(weight);
    range.setAttribute("aria-valuetext", short(weight));
    range.style.setProperty("--at", `${range.value}%`);
    listener(weight);
  });
  exact.addEventListener("input", () => {
    const weight = exact.valueAsNumber;
    const fine = Number.isFinite(weight) && weight >= 0 && (!linear || weight <= 1);
    exact.setAttribute("aria-invalid", String(!fine));
    if (!fine) return;
    top = Math.max(top, weight);
    say(weight);
    listener(weight);
  });
  set(value);
  const element = h(
    "div",
    { class: "weight" },
    h("label", { for: id }, label),
    h("span", { class: "small muted", id: hintId }, hint),
    range,
    exact,
  );
  return {
    element,
    set,
    onChange: (next) => {
      listener = next;
    },
  };
}

function textField({ label, hint, value, key, problems, type = "text" }) {
  const [id, hintId, problemId] = [unique("field"), unique("hint"), unique("problem")];
  const input = h("input", {
    id,
    type,
    value: value ?? "",
    autocomplete: "off",
    spellcheck: "false",
    "aria-describedby": `${hint ? `${hintId} ` : ""}${problemId}`,
  });
  const problem = h("p", { class: "problem", id: problemId, role: "alert" });
  problems.set(key, (text) => {
    if (problem.textContent !== text) problem.textContent = text;
    input.setAttribute("aria-invalid", String(Boolean(text)));
  });
  return {
    input,
    element: h(
      "div",
      { class: "field" },
      h("label", { for: id }, label),
      input,
      hint ? h("p", { class: "small muted", id: hintId }, hint) : null,
      problem,
    ),
  };
}

/** The phone and the reasons beside it. */
function resultOf(offer) {
  const screenPhone = phone(t("lists.screen"));
  const facts = h("p", { class: "small muted answer-facts" });
  const title = h("h2", {});
  const said = h("p", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  const problem = h("p", { class: "problem", role: "alert" });
  // On a phone the screen is below the weights: what a turn did is said beside them, with the way there.
  const peekText = h("span", {});
  const peek = h(
    "button",
    { type: "button", class: "peek", hidden: true, on: { click: () => screen.scrollIntoView() } },
    peekText,
    h("span", {}, t("lists.peek")),
  );
  const hold = h("button", { type: "button", class: "button small-button", "aria-pressed": "false" }, t("lists.hold"));
  const screen = h(
    "section",
    { class: "screen", "aria-label": t("lists.screen") },
    h("div", { class: "screen-head" }, title, facts),
    problem,
    screenPhone.element,
    said,
  );

  const against = h("p", { class: "small muted" });
  const changes = h("ul", { class: "changes" });
  const promises = h("div", {});
  let last = null;
  const why = figure({
    title: t("lists.why"),
    note: t("lists.why.note"),
    level: "h2",
    legend: () =>
      shownObjectives(last).map((name) => ({
        name: named("objective", name),
        ink: inkOf(name),
        area: true,
        letter: letterOf(name),
      })),
    draw: (width) => stackedRows({ width, rows: rowsOf(last) }),
    rows: () => {
      const names = shownObjectives(last);
      return {
        head: [t("lists.item"), ...names.map((name) => named("objective", name)), t("lists.sum")],
        rows: (last?.items ?? []).map((item) => {
          const own = Object.fromEntries(contributions(item));
          return [
            item.title || item.item_id,
            ...names.map((name) => fixed(own[name], 4)),
            fixed(sum(Object.values(own)), 4),
          ];
        }),
      };
    },
  });
  const mix = figure({
    title: t("lists.mix"),
    note: t("lists.mix.note"),
    level: "h2",
    draw: () => mixOf(last),
    rows: () => ({
      head: [t("lists.category"), t("lists.wanted"), t("lists.shown")],
      rows: shares(last).map(([name, wanted, shown]) => [name, percent(wanted), percent(shown)]),
    }),
  });
  const reasons = h(
    "div",
    { class: "reasons" },
    h(
      "section",
      { class: "panel" },
      h("div", { class: "figure-head" }, h("h2", {}, t("lists.changes")), hold),
      against,
      changes,
    ),
    h("section", { class: "panel" }, h("h2", {}, t("lists.promises")), promises),
    h("section", { class: "panel" }, why),
    h("section", { class: "panel" }, mix),
  );

  return {
    screen,
    reasons,
    peek,
    onHold: (listener) => hold.addEventListener("click", listener),
    busy(state) {
      screen.setAttribute("aria-busy", String(state));
    },
    refused(text) {
      if (problem.textContent !== text) problem.textContent = text;
      screen.classList.add("stale");
    },
    show(answer, reference, isHeld) {
      last = answer;
      problem.textContent = "";
      screen.classList.remove("stale");
      show(title, answer.known ? t("lists.for") : t("lists.for.new"), " ", h("bdi", {}, answer.user));
      const time = answer.timings?.total_us;
      facts.textContent = t("lists.facts", {
        model: answer.model,
        time: time === undefined ? "–" : t("lists.ms", { n: fixed(time / 1000, 1) }),
      });
      const difference = reference ? compare(reference.items, answer.items) : null;
      const tags = tagsOf(difference);
      screenPhone.show(answer.items, offer.categories, (id) => tags.get(id));
      hold.textContent = t(isHeld ? "lists.release" : "lists.hold");
      hold.setAttribute("aria-pressed", String(isHeld));
      against.textContent = difference
        ? t(isHeld ? "lists.against.held" : "lists.against.before")
        : t("lists.against.none");
      show(changes, difference ? sentences(difference) : []);
      const summary = difference
        ? t("lists.summary", {
            entered: difference.entered.length,
            left: difference.left.length,
            moved: difference.moved.length,
          })
        : t("lists.ready", { n: answer.items.length });
      if (said.textContent !== summary) said.textContent = summary;
      peek.hidden = !difference;
      peekText.textContent = difference
        ? t("lists.peek.text", {
            entered: difference.entered.length,
            left: difference.left.length,
            moved: difference.moved.length,
          })
        : "";
      show(promises, promisesOf(answer, reference));
      why.redraw();
      mix.redraw();
    },
  };
}

const sum = (values) => values.reduce((a, b) => a + b, 0);
const inkOf = (name) => Math.max(0, OBJECTIVES.indexOf(name)) + 1;
const letterOf = (name) => named("letter", name).slice(0, 2);

/** Objectives that gain from some item of a list. */
function shownObjectives(answer) {
  const names = new Set();
  for (const item of answer?.items ?? [])
    for (const [name, value] of contributions(item)) if (value !== 0) names.add(name);
  return [...OBJECTIVES.filter((name) => names.has(name)), ...[...names].filter((name) => !OBJECTIVES.includes(name))];
}

function rowsOf(answer) {
  return (answer?.items ?? []).map((item) => {
    const own = contributions(item);
    return {
      name: item.title || item.item_id,
      parts: own.map(([name, value]) => ({
        name: named("objective", name),
        letter: letterOf(name),
        ink: inkOf(name),
        value,
        text: fixed(value, 3),
      })),
      text: fixed(sum(own.map(([, value]) => value)), 3),
    };
  });
}

/** What a card says about itself. */
function tagsOf(difference) {
  const tags = new Map();
  for (const { item } of difference?.entered ?? []) tags.set(item.item_id, t("badge.entered"));
  for (const { item, was, place } of difference?.moved ?? [])
    tags.set(item.item_id, place < was ? `▲ ${was - place}` : `▼ ${place - was}`);
  return tags;
}

/** The differences as sentences. */
function sentences({ entered, left, moved, stayed }) {
  const title = (item) => h("bdi", { class: "strong" }, item.title || item.item_id);
  const line = (sign, item, ...rest) =>
    h("li", {}, h("span", { class: "sign", "aria-hidden": "true" }, sign), h("span", {}, title(item), " ", rest));
  const because = (reason) =>
    reason && reason.value > 0
      ? ` ${t("lists.because", { name: named("objective", reason.name), value: fixed(reason.value, 3), total: fixed(reason.total, 3) })}`
      : "";
  const lines = [];
  for (const { item, place, reason } of entered) {
    const displaced = item.reasons?.displaced ? item.reasons.displaced_title || item.reasons.displaced : null;
    lines.push(
      line(
        "+",
        item,
        t("lists.entered", { place }),
        because(reason),
        displaced ? [" ", t("lists.replaces"), " ", h("bdi", {}, displaced), t("stop")] : "",
      ),
    );
  }
  for (const { item, was, reason } of left) lines.push(line("−", item, t("lists.left", { was }), because(reason)));
  for (const { item, place, was, shift } of moved) {
    const by = Math.abs(was - place);
    const change = shift
      ? ` ${t("lists.shift", { name: named("objective", shift.name), value: signed(shift.value, 3) })}`
      : "";
    lines.push(
      line(place < was ? "▲" : "▼", item, t(place < was ? "lists.up" : "lists.down", { n: by, place }), change),
    );
  }
  if (stayed > 0 || lines.length === 0)
    lines.push(
      h(
        "li",
        { class: "muted" },
        h("span", { class: "sign", "aria-hidden": "true" }, "="),
        h("span", {}, t("lists.stayed", { n: stayed })),
      ),
    );
  return lines;
}

/** What the whole list promises, beside the one compared with. */
function promisesOf(answer, reference) {
  const rows = [
    ["expected_clicks", (v) => fixed(v, 3), 3],
    ["expected_orders", (v) => fixed(v, 4), 4],
    ["expected_revenue", (v) => price(v === null ? null : Math.round(v * 100) / 100), 2],
    ["kl", (v) => fixed(v, 3), 3],
    ["novelty", (v) => percent(v, 0), null],
    ["entropy", (v) => fixed(v, 3), 3],
    ["distance", (v) => fixed(v, 3), 3],
  ];
  const own = h("table", { class: "promises" });
  add(
    own,
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col" }, t("lists.measure")),
        h("th", { scope: "col" }, t("lists.now")),
        reference ? h("th", { scope: "col" }, t("lists.difference")) : null,
      ),
    ),
  );
  const tbody = add(
    h("tbody", {}),
    rows
      .filter(([name]) => typeof answer.list[name] === "number")
      .map(([name, format, digits]) => {
        const value = answer.list[name];
        const was = reference?.list[name];
        const difference = typeof was === "number" ? value - was : null;
        const text = digits === null ? signedPercent(difference, 0) : signed(difference, digits);
        const wanted =
          name === "novelty" && typeof answer.wanted?.novelty === "number"
            ? h(
                "span",
                { class: "muted small" },
                ` ${t("lists.wanted.novelty", { share: percent(answer.wanted.novelty, 0) })}`,
              )
            : null;
        return h(
          "tr",
          {},
          h("th", { scope: "row" }, t(`list.${name}`), wanted),
          h("td", {}, format(value)),
          reference ? h("td", {}, text) : null,
        );
      }),
  );
  return add(own, tbody);
}

/** `[category, wanted, shown]`, what matters most first. */
function shares(answer) {
  const shown = new Map();
  for (const { category } of answer?.items ?? [])
    if (category) shown.set(category, (shown.get(category) ?? 0) + 1 / answer.items.length);
  const wanted = answer?.wanted?.mix ?? {};
  const names = [...new Set([...Object.keys(wanted), ...shown.keys()])];
  const rows = names.map((name) => [name, wanted[name] ?? 0, shown.get(name) ?? 0]);
  return rows.sort((a, b) => Math.max(b[1], b[2]) - Math.max(a[1], a[2]) || (a[0] < b[0] ? -1 : 1));
}

function mixOf(answer) {
  const rows = shares(answer).slice(0, 12);
  if (rows.length === 0) return h("p", { class: "muted" }, t("lists.mix.none"));
  const most = Math.max(...rows.map(([, wanted, shown]) => Math.max(wanted, shown)));
  const width = (share) => ({ "inline-size": `${(100 * share) / most}%` });
  const list = h("ul", { class: "mix" });
  for (const [name, wanted, shown] of rows) {
    const bars = h(
      "span",
      { class: "bars", "aria-hidden": "true" },
      h("span", { class: "wanted", css: width(wanted) }),
      h("span", { class: "shown", css: width(shown) }),
    );
    add(
      list,
      h(
        "li",
        {},
        h("bdi", {}, name),
        bars,
        h(
          "span",
          { class: "numbers" },
          h(
            "span",
            { class: "visually-hidden" },
            t("lists.mix.row", { wanted: percent(wanted, 0), shown: percent(shown, 0) }),
          ),
          h("span", { "aria-hidden": "true" }, `${percent(wanted, 0)} · ${percent(shown, 0)}`),
        ),
      ),
    );
  }
  return list;
}

// Experiments: people split over ways to make lists, and what that came to, in words.

import { ask, inWords } from "./api.js";
import { digitsOf, figure, intervals } from "./chart.js";
import { openDialog } from "./dialog.js";
import { add, h, show, unique } from "./dom.js";
import { named, t } from "./language.js";
import { done, failed } from "./notices.js";
import { ago, count, fixed, moment, percent, signed, signedPercent } from "./numbers.js";
import { weightsInWords } from "./presets.js";
import { onEvent } from "./stream.js";
import { table } from "./table.js";

const METRICS = ["clicks_per_request", "purchases_per_request", "revenue_per_request"];

/** How often a running one is looked at. */
const AGAIN = 5000;

export async function mount({ body, values, signal }) {
  show(body, h("p", { class: "loading" }, t("loading")));
  let { experiments } = await ask("GET", "/v1/experiments", { signal });
  let chosen = values.get("name");
  const list = h("section", { class: "panel" });
  const details = h("div", {});
  const create = h("button", { type: "button", class: "button primary" }, t("experiments.new"));
  show(body, h("div", { class: "stack" }, list, details));

  let shown = null;
  const draw = () => {
    const order = [...experiments].sort(
      (a, b) => (b.state === "running") - (a.state === "running") || b.started - a.started,
    );
    const current = order.find(({ name }) => name === chosen) ?? order[0] ?? null;
    chosen = current?.name ?? null;
    // While somebody reads the list it stays: only what changed is drawn anew.
    show(
      list,
      h("div", { class: "figure-head" }, h("h2", {}, t("experiments.all")), create),
      listOf(order, chosen, (name) => {
        chosen = name;
        history.replaceState(null, "", `#/experiments?name=${encodeURIComponent(name)}`);
        draw();
        list.querySelector('[aria-pressed="true"]')?.focus();
      }),
    );
    if (!current) {
      shown = null;
      return show(
        details,
        h("div", { class: "empty" }, h("h2", {}, t("experiments.none")), h("p", {}, t("experiments.none.next"))),
      );
    }
    if (
      shown?.name !== current.name ||
      shown.state !== current.state ||
      shown.result.arms.length !== current.arms.length
    ) {
      shown = { name: current.name, state: current.state, result: current, ...resultOf(current, reload) };
      show(details, shown.element);
    }
    shown.update(current);
  };
  const reload = async () => {
    ({ experiments } = await ask("GET", "/v1/experiments", { signal }));
    const focused = list.contains(document.activeElement)
      ? [...list.querySelectorAll("button")].indexOf(document.activeElement)
      : -1;
    draw();
    if (focused >= 0) list.querySelectorAll("button")[focused]?.focus();
  };
  create.addEventListener("click", async () => {
    try {
      const [{ presets }, { models }] = await Promise.all([
        ask("GET", "/v1/presets", { signal }),
        ask("GET", "/v1/models", { signal }),
      ]);
      const name = await createDialog(presets, models);
      if (!name) return;
      chosen = name;
      done(t("experiments.started", { name }));
      await reload();
    } catch (error) {
      failed(error);
    }
  });
  draw();
  onEvent("experiments", signal, () => reload().catch(failed));
  const timer = setInterval(() => {
    if (!document.hidden && experiments.some(({ state }) => state === "running")) reload().catch(failed);
  }, AGAIN);
  signal.addEventListener("abort", () => clearInterval(timer));
}

function listOf(order, chosen, open) {
  if (order.length === 0) return h("p", { class: "muted" }, t("experiments.none"));
  const rows = order.map((own) => {
    const link = h(
      "button",
      {
        type: "button",
        class: "quiet",
        "aria-pressed": String(own.name === chosen),
        on: { click: () => open(own.name) },
      },
      h("bdi", {}, own.name),
    );
    return h(
      "tr",
      {},
      h("th", { scope: "row" }, link),
      h(
        "td",
        {},
        h("b", { class: own.state === "running" ? "badge serving" : "badge plain" }, t(`experiment.${own.state}`)),
      ),
      h("td", {}, named("metric", own.metric)),
      h("td", {}, String(own.arms.length)),
      h("td", {}, ago(own.started)),
    );
  });
  const head = [
    "experiments.name",
    "experiments.state",
    "experiments.metric",
    "experiments.arms",
    "experiments.start",
  ].map((key) => h("th", { scope: "col" }, t(key)));
  return h(
    "div",
    { class: "wide", tabindex: "0", role: "region", "aria-label": t("experiments.all") },
    h("table", { class: "words fill" }, h("thead", {}, h("tr", {}, head)), h("tbody", {}, rows)),
  );
}

const digits = { clicks_per_request: 4, purchases_per_request: 5, revenue_per_request: 2 };

/** One experiment: verdicts in words, arms, intervals. */
function resultOf(first, reload) {
  let result = first;
  const running = first.state === "running";
  const list = h("ul", { class: "verdicts" });
  const words = h("div", { role: "status", "aria-live": "polite" }, list);
  const arms = h("div", {});
  const facts = h("p", { class: "muted small" });
  const d = () => digits[result.metric] ?? 4;
  const chart = figure({
    title: t("experiments.difference"),
    note: t("experiments.difference.note", { level: percent(1 - first.alpha, 0) }),
    draw: (width) =>
      intervals({
        width,
        label: t("experiments.difference"),
        format: (v, step) => (Math.abs(v) < 1e-12 ? "0" : signed(v, digitsOf(step))),
        rows: result.comparisons.map((own, i) => ({
          name: t("experiments.against", { arm: own.arm, against: own.against }),
          value: own.difference,
          low: own.interval?.[0],
          high: own.interval?.[1],
          ink: (i % 6) + 1,
        })),
      }),
    rows: () => ({
      head: [
        t("experiments.comparison"),
        t("models.difference"),
        t("experiments.from"),
        t("experiments.to"),
        t("experiments.relative"),
        t("experiments.verdict"),
      ],
      rows: result.comparisons.map((own) => [
        t("experiments.against", { arm: own.arm, against: own.against }),
        signed(own.difference, d()),
        signed(own.interval?.[0], d()),
        signed(own.interval?.[1], d()),
        signedPercent(own.relative),
        t(`verdict.${own.verdict}`),
      ]),
    }),
  });
  const actions = h("div", { class: "row" });
  const change = (key, method, path) => async () => {
    const gone = await openDialog({
      title: t(`experiments.${key}.title`, { name: first.name }),
      body: h("p", {}, t(`experiments.${key}.why`)),
      action: t(`experiments.${key}`),
      danger: true,
      say: inWords,
      submit: () => ask(method, path).then(() => true),
    });
    if (!gone) return;
    done(t(`experiments.${key}.done`, { name: first.name }));
    reload().catch(failed);
  };
  const path = `/v1/experiments/${encodeURIComponent(first.name)}`;
  if (running)
    add(
      actions,
      h(
        "button",
        { type: "button", class: "button", on: { click: change("stop", "POST", `${path}/stop`) } },
        t("experiments.stop"),
      ),
    );
  else
    add(
      actions,
      h(
        "button",
        { type: "button", class: "button", on: { click: change("delete", "DELETE", path) } },
        t("experiments.delete"),
      ),
    );
  const element = h(
    "section",
    { class: "panel experiment" },
    h("div", { class: "figure-head" }, h("h2", {}, h("bdi", {}, first.name)), actions),
    facts,
    words,
    arms,
    chart,
  );
  return {
    element,
    update(now) {
      result = now;
      const stopped = now.stopped ? ` ${t("experiments.stopped.at", { time: moment(now.stopped) })}` : "";
      facts.textContent = `${t("experiments.started.at", { time: moment(now.started) })}${stopped} · ${named("metric", now.metric)} · ${t("experiments.alpha.is", { alpha: percent(now.alpha, 0) })}`;
      const sentences = now.comparisons.map((own) => sentence(own, d()));
      if (list.textContent !== sentences.join(""))
        show(
          list,
          sentences.map((text) => h("li", {}, text)),
        );
      const head = [
        t("experiments.arm"),
        t("experiments.share"),
        t("experiments.users"),
        t("experiments.requests"),
        named("metric", now.metric),
        "CTR",
        "CVR",
        t("live.entropy"),
        t("live.novelty"),
        t("experiments.serves"),
      ];
      const scroll = arms.firstElementChild?.scrollLeft ?? 0;
      show(
        arms,
        table({
          name: t("experiments.arms"),
          head,
          rows: now.arms.map((arm) => [
            arm.name,
            percent(arm.share, 0),
            count(arm.users),
            count(arm.requests),
            fixed(arm.mean, d()),
            percent(arm.ctr, 2),
            percent(arm.cvr, 2),
            fixed(arm.entropy, 3),
            percent(arm.novelty, 1),
            arm.preset ??
              (arm.objectives ? weightsInWords(arm.objectives, arm.explore) : (arm.model ?? t("experiments.default"))),
          ]),
        }),
      );
      arms.firstElementChild.scrollLeft = scroll;
      chart.redraw();
    },
  };
}

function sentence({ arm, against, difference, interval, relative, verdict }, d) {
  const values = {
    arm,
    against,
    difference: signed(difference, d),
    relative: signedPercent(relative),
    low: signed(interval?.[0], d),
    high: signed(interval?.[1], d),
  };
  if (!interval) return t("verdict.sentence.no_data", values);
  return t(`verdict.sentence.${verdict}`, values);
}

/** The form for a new one; gives its name, or `null`. */
function createDialog(presets, models) {
  const [nameId, metricId, alphaId] = [unique("name"), unique("metric"), unique("alpha")];
  const name = h("input", { id: nameId, type: "text", autocomplete: "off", spellcheck: "false" });
  const metric = h(
    "select",
    { id: metricId },
    METRICS.map((value) => h("option", { value }, named("metric", value))),
  );
  const alpha = h("input", { id: alphaId, type: "number", min: 0.001, max: 0.5, step: "any", value: "0.05" });
  const arms = h("fieldset", { class: "arms" }, h("legend", {}, t("experiments.arms")));
  const rows = [];
  const addArm = (share) => {
    const letter = "ABCDEFGH"[rows.length] ?? String(rows.length + 1);
    const [own, shareId, serveId] = [unique("arm"), unique("share"), unique("serve")];
    const armName = h("input", { id: own, type: "text", value: letter, autocomplete: "off" });
    const shareInput = h("input", { id: shareId, type: "number", min: 0, max: 100, step: "any", value: String(share) });
    const serve = h(
      "select",
      { id: serveId },
      h("option", { value: "" }, t("experiments.default")),
      presets.length
        ? h(
            "optgroup",
            { label: t("lists.preset") },
            presets.map((preset) => h("option", { value: `preset:${preset.name}` }, preset.name)),
          )
        : null,
      h(
        "optgroup",
        { label: t("trade-offs.model") },
        models
          .filter(({ state }) => state !== "damaged")
          .map((model) => h("option", { value: `model:${model.name}` }, model.name)),
      ),
    );
    const remove = h(
      "button",
      { type: "button", class: "quiet", "aria-label": t("experiments.arm.remove", { name: letter }) },
      "×",
    );
    const element = h(
      "div",
      { class: "arm" },
      field(own, t("experiments.arm"), armName),
      field(shareId, t("experiments.share.percent"), shareInput),
      field(serveId, t("experiments.serves"), serve),
      remove,
    );
    const row = { armName, shareInput, serve, element };
    remove.addEventListener("click", () => {
      if (rows.length <= 2) return;
      rows.splice(rows.indexOf(row), 1);
      element.remove();
    });
    rows.push(row);
    more.before(element);
  };
  const more = h(
    "button",
    { type: "button", class: "button small-button", on: { click: () => addArm(0) } },
    t("experiments.arm.add"),
  );
  add(arms, more);
  addArm(50);
  addArm(50);
  return openDialog({
    title: t("experiments.new"),
    body: [
      h("p", { class: "small muted" }, t("experiments.new.note")),
      field(nameId, t("experiments.name"), name),
      h(
        "div",
        { class: "field-row" },
        field(metricId, t("experiments.metric"), metric),
        field(alphaId, t("experiments.alpha"), alpha),
      ),
      arms,
    ],
    action: t("experiments.start.action"),
    say: inWords,
    submit: async () => {
      if (!name.value.trim()) throw new Error(t("experiments.noname"));
      const body = {
        metric: metric.value,
        alpha: alpha.valueAsNumber,
        arms: rows.map(({ armName, shareInput, serve }) => {
          const [kind, ...rest] = serve.value.split(":");
          return {
            name: armName.value.trim(),
            share: shareInput.valueAsNumber / 100,
            ...(kind ? { [kind]: rest.join(":") } : {}),
          };
        }),
      };
      if (!Number.isFinite(body.alpha) || body.arms.some(({ share }) => !Number.isFinite(share)))
        throw new Error(t("experiments.numbers"));
      await ask("PUT", `/v1/experiments/${encodeURIComponent(name.value.trim())}`, { body });
      return name.value.trim();
    },
  });
}

const field = (id, label, input) => h("div", { class: "field" }, h("label", { for: id }, label), input);

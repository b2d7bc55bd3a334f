// Models: what runs there are, how good each is, two side by side, and which one serves.

import { ask, inWords } from "./api.js";
import { digitsOf, figure, plot, stackedRows } from "./chart.js";
import { openDialog } from "./dialog.js";
import { add, h, show, unique } from "./dom.js";
import { jobPanel } from "./job.js";
import { named, t } from "./language.js";
import { done, failed } from "./notices.js";
import { count, fixed, moment, percent, short, signed } from "./numbers.js";
import { onEvent } from "./stream.js";

/** Metrics that are shown, in this order, and whether more is better; `null`: closer to 1 is. */
const METRICS = {
  auc: true,
  gauc: true,
  pr_auc: true,
  logloss: false,
  ne: false,
  ece: false,
  pcoc: null,
  brier: false,
  ce: false,
  kl: false,
  js: false,
  top1: true,
  accuracy: true,
  rmse: false,
  mse: false,
  mae: false,
  r2: true,
  spearman: true,
};

export async function mount({ body, values, signal }) {
  show(body, h("p", { class: "loading" }, t("loading")));
  let known = await ask("GET", "/v1/models", { signal });
  const chosen = { name: values.get("name"), beside: values.get("beside") };
  const list = h("section", { class: "panel" });
  const details = h("div", { class: "stack" });
  const stack = h("div", { class: "stack" }, list, trainPanel(signal), details);
  show(body, stack);

  const open = async () => {
    const names = known.models.filter((model) => model.state !== "damaged").map(({ name }) => name);
    if (!names.includes(chosen.name)) chosen.name = known.serving ?? names[0] ?? null;
    if (!names.includes(chosen.beside) || chosen.beside === chosen.name) chosen.beside = null;
    drawList();
    if (!chosen.name) return show(details);
    const values = new URLSearchParams({ name: chosen.name, ...(chosen.beside ? { beside: chosen.beside } : {}) });
    history.replaceState(null, "", `#/models?${values}`);
    const runs = await Promise.all(
      [chosen.name, chosen.beside]
        .filter(Boolean)
        .map((name) => ask("GET", `/v1/models/${encodeURIComponent(name)}`, { signal })),
    );
    show(
      details,
      detailsOf(runs, names, chosen, () => open().catch(failed)),
    );
  };
  const drawList = () => show(list, listOf(known, chosen, { open: () => open().catch(failed) }));
  onEvent("models", signal, async () => {
    try {
      known = await ask("GET", "/v1/models", { signal });
      await open();
    } catch (error) {
      failed(error);
    }
  });
  await open();
}

/** All runs, with what can be done to them. */
function listOf(known, chosen, { open }) {
  const back = h(
    "button",
    { type: "button", class: "button small-button", disabled: !known.previous },
    known.previous ? t("models.rollback.to", { name: known.previous }) : t("models.rollback"),
  );
  back.addEventListener("click", () =>
    act({
      title: t("models.rollback.title"),
      why: t("models.rollback.why", { name: known.previous, serving: known.serving }),
      action: t("models.rollback"),
      path: "/v1/models/rollback",
      said: t("models.rolled", { name: known.previous }),
    }),
  );
  if (known.models.length === 0)
    return [
      h("h2", {}, t("models.runs")),
      h("p", {}, t("models.none")),
      h("p", { class: "muted" }, t("models.none.next")),
    ];
  const tasks = inOrder([
    ...new Set(
      known.models.flatMap((model) =>
        Object.entries(model.metrics ?? {})
          .filter(([, own]) => typeof own?.auc === "number")
          .map(([task]) => task),
      ),
    ),
  ]);
  const rows = known.models.map((model) => {
    const { name, state, kind, created, metrics, problem } = model;
    const path = `/v1/models/${encodeURIComponent(name)}`;
    const link =
      state === "damaged"
        ? h("bdi", {}, name)
        : h(
            "button",
            { type: "button", class: "quiet", "aria-pressed": String(chosen.name === name) },
            h("bdi", {}, name),
          );
    if (state !== "damaged") {
      link.addEventListener("click", () => {
        chosen.name = name;
        chosen.beside = chosen.beside === name ? null : chosen.beside;
        open();
      });
    }
    const actions = h("div", { class: "row" });
    if (state === "available")
      add(
        actions,
        button(t("models.load"), () =>
          act({
            title: t("models.load.title", { name }),
            why: t("models.load.why"),
            action: t("models.load"),
            path: `${path}/load`,
            said: t("models.loaded", { name }),
          }),
        ),
      );
    if (state === "available" || state === "loaded")
      add(
        actions,
        button(t("models.promote"), () =>
          act({
            title: t("models.promote.title", { name }),
            why: t("models.promote.why", { serving: known.serving ?? "–" }),
            action: t("models.promote"),
            path: `${path}/promote`,
            said: t("models.promoted", { name }),
          }),
        ),
      );
    const sign = state === "serving" ? "badge serving" : state === "damaged" ? "badge bad" : "badge plain";
    return h(
      "tr",
      { class: chosen.name === name ? "own" : null },
      h("th", { scope: "row" }, link, problem ? h("span", { class: "problem" }, problem) : null),
      h("td", {}, h("b", { class: sign }, t(`state.${state}`))),
      h("td", {}, named("kind", kind)),
      h("td", {}, moment(created)),
      tasks.map((task) => h("td", { class: "number" }, fixed(metrics?.[task]?.auc, 4))),
      h("td", {}, actions),
    );
  });
  const head = [
    t("models.run"),
    t("models.state"),
    t("models.kind"),
    t("models.created"),
    ...tasks.map((task) => t("models.auc", { task: named("short", task) })),
    "",
  ];
  const own = h(
    "table",
    { class: "words fill runs" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        head.map((text) => (text ? h("th", { scope: "col" }, text) : h("td", {}))),
      ),
    ),
    h("tbody", {}, rows),
  );
  return [
    h("div", { class: "figure-head" }, h("h2", {}, t("models.runs")), back),
    h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": t("models.runs") }, own),
  ];
}

const button = (text, click) => h("button", { type: "button", class: "button small-button", on: { click } }, text);

/** Something that changes what is served: only after a question. */
async function act({ title, why, action, path, said }) {
  const gone = await openDialog({
    title,
    body: h("p", {}, why),
    action,
    say: inWords,
    submit: () => ask("POST", path).then(() => true),
  });
  if (gone) done(said);
}

/** Starting training, and how it goes. */
function trainPanel(signal) {
  const [nameId, promoteId] = [unique("name"), unique("promote")];
  const name = h("input", { id: nameId, type: "text", autocomplete: "off", spellcheck: "false" });
  const promote = h(
    "select",
    { id: promoteId },
    ["if_not_worse", "always", "never"].map((value) => h("option", { value }, t(`train.${value}`))),
  );
  const go = h("button", { type: "submit", class: "button primary" }, t("train.start"));
  const form = h(
    "form",
    { class: "row train" },
    h("div", { class: "field" }, h("label", { for: nameId }, t("train.name")), name),
    h("div", { class: "field" }, h("label", { for: promoteId }, t("train.promote")), promote),
    go,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = { promote: promote.value, ...(name.value.trim() ? { name: name.value.trim() } : {}) };
    const gone = await openDialog({
      title: t("train.title"),
      body: h("p", {}, t("train.why", { promote: t(`train.${promote.value}`) })),
      action: t("train.start"),
      say: inWords,
      submit: () => ask("POST", "/v1/train", { body }).then(() => true),
    });
    if (gone) done(t("train.started"));
  });
  return h(
    "div",
    { class: "stack" },
    h(
      "section",
      { class: "panel" },
      h("h2", {}, t("train.heading")),
      h("p", { class: "muted small" }, t("train.note")),
      form,
    ),
    jobPanel(signal),
  );
}

/** One run, or two side by side. */
function detailsOf(runs, names, chosen, open) {
  const id = unique("beside");
  const select = h(
    "select",
    { id },
    h("option", { value: "" }, t("models.alone")),
    names
      .filter((name) => name !== chosen.name)
      .map((name) => h("option", { value: name, selected: name === chosen.beside }, name)),
  );
  select.addEventListener("change", () => {
    chosen.beside = select.value || null;
    open();
  });
  const head = h(
    "div",
    { class: "row between" },
    h("h2", { class: "run-name" }, h("bdi", {}, chosen.name)),
    h("div", { class: "field inline" }, h("label", { for: id }, t("models.beside")), select),
  );
  return [
    head,
    h("section", { class: "panel" }, h("h2", {}, t("models.metrics")), metricsOf(runs)),
    section(t("models.learning"), t("models.learning.note"), learning(runs), t("models.learning.none")),
    section(t("models.calibration"), t("models.calibration.note"), reliability(runs), t("models.calibration.none")),
    section(
      t("models.experts"),
      t("models.experts.note"),
      experts(runs),
      t(
        runs.some((run) => ["mmoe", "ple", "stem"].includes(run.config?.model?.kind))
          ? "models.experts.unmeasured"
          : "models.experts.none",
      ),
    ),
    h(
      "section",
      { class: "panel" },
      h("h2", {}, t("models.settings")),
      h("div", { class: "two" }, runs.map(settingsOf)),
    ),
  ];
}

function section(title, note, figures, none) {
  return h(
    "section",
    { class: "panel" },
    h("h2", {}, title),
    figures.length
      ? [h("p", { class: "small muted" }, note), h("div", { class: "figures" }, figures)]
      : h("p", { class: "muted" }, none),
  );
}

/** Tests of every task; with two runs the difference, and which is better in words. */
function metricsOf(runs) {
  const reports = runs.map((run) => run.evaluation?.tasks ?? {});
  if (reports.every((own) => Object.keys(own).length === 0))
    return h("p", { class: "muted" }, t("models.metrics.none"));
  const tasks = inOrder([...new Set(reports.flatMap((own) => Object.keys(own)))]);
  const pair = runs.length === 2;
  const head = [t("models.metric"), ...runs.map((run) => (pair ? run.name : t("models.value")))];
  if (pair) head.push(t("models.difference"), t("models.better"));
  const tables = tasks.map((task) => {
    const rows = Object.keys(METRICS)
      .filter((metric) => reports.some((own) => typeof own[task]?.[metric] === "number"))
      .map((metric) => {
        const values = reports.map((own) => own[task]?.[metric]);
        const cells = values.map((value, i) => {
          const interval = reports[i][task]?.intervals?.[metric];
          return h(
            "td",
            {},
            fixed(value, 4),
            interval ? h("span", { class: "interval" }, `[${interval.map((end) => fixed(end, 4)).join(", ")}]`) : null,
          );
        });
        if (pair) {
          const both = values.every((value) => typeof value === "number");
          cells.push(
            h("td", {}, both ? signed(values[0] - values[1], 4) : "–"),
            h("td", { class: "words" }, both ? verdict(metric, values) : ""),
          );
        }
        return h("tr", {}, h("th", { scope: "row" }, named("metric", metric)), cells);
      });
    const own = h(
      "table",
      {},
      h("caption", {}, named("task", task)),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          head.map((text) => h("th", { scope: "col" }, text)),
        ),
      ),
      h("tbody", {}, rows),
    );
    return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": named("task", task) }, own);
  });
  return h("div", { class: pair ? "metrics pair" : "metrics" }, tables);
}

/** Tasks as a visit goes: shown, clicked, bought; then what is wanted of a whole list. */
function inOrder(tasks) {
  const order = ["click", "purchase", "purchase_ctcvr", "diversity", "novelty"];
  const place = (task) => (order.includes(task) ? order.indexOf(task) : order.length);
  return tasks.sort((a, b) => place(a) - place(b) || (a < b ? -1 : 1));
}

function verdict(metric, [a, b]) {
  const worth = METRICS[metric] === null ? [-Math.abs(a - 1), -Math.abs(b - 1)] : METRICS[metric] ? [a, b] : [-a, -b];
  if (Math.abs(worth[0] - worth[1]) < 5e-5) return t("models.same");
  return t(worth[0] > worth[1] ? "models.first.better" : "models.second.better");
}

/** Names of the tasks, in the order of the losses of a history. */
const tasksOf = (run) => run.tasks ?? (run.config?.task ?? []).map(({ name }) => name);

/** Losses per task over epochs. */
function learning(runs) {
  const tasks = [...new Set(runs.flatMap((run) => (run.history?.length ? tasksOf(run) : [])))];
  return tasks.map((task) => {
    const series = runs.flatMap((run, i) => {
      const index = tasksOf(run).indexOf(task);
      if (index < 0 || !run.history?.length) return [];
      const ink = i === 0 ? 1 : 2;
      const of = (value) => run.history.map((round, n) => ({ x: n + 1, y: value(round) }));
      const suffix = runs.length === 2 ? ` · ${run.name}` : "";
      return [
        {
          name: `${t("models.valid")}${suffix}`,
          ink,
          line: "solid",
          mark: true,
          points: of((round) => round.valid?.[index]?.loss),
        },
        {
          name: `${t("models.train")}${suffix}`,
          ink,
          line: "dashed",
          points: of((round) => round.train_loss?.[index]),
        },
      ];
    });
    const n = Math.max(2, ...runs.map((run) => run.history?.length ?? 0));
    return figure({
      title: named("task", task),
      note: learningNote(runs[0], task),
      legend: () => series,
      draw: (width) =>
        plot({
          width,
          height: 210,
          label: `${named("task", task)}: ${t("models.learning")}`,
          x: { label: t("models.epoch"), min: 1, max: n, format: (v) => (Number.isInteger(v) ? String(v) : "") },
          y: { label: t("models.loss"), format: (v, step) => fixed(v, digitsOf(step)) },
          series,
          guides: [],
        }),
      rows: () => ({
        head: [t("models.epoch"), ...series.map(({ name }) => name)],
        rows: Array.from({ length: n }, (_, i) => [
          String(i + 1),
          ...series.map(({ points }) => fixed(points[i]?.y, 4)),
        ]),
      }),
    });
  });
}

function learningNote(run, task) {
  const best = run.history?.findLast((round) => round.best);
  const index = tasksOf(run).indexOf(task);
  const loss = best?.valid?.[index]?.loss;
  return typeof loss === "number" ? t("models.learning.best", { epoch: best.epoch, loss: fixed(loss, 3) }) : "";
}

/** Predicted and observed shares of the tasks that say probabilities. */
function reliability(runs) {
  const has = (run, task) => run.evaluation?.tasks?.[task]?.reliability?.length > 1;
  const tasks = inOrder([
    ...new Set(runs.flatMap((run) => Object.keys(run.evaluation?.tasks ?? {}).filter((task) => has(run, task)))),
  ]);
  return tasks.map((task) => {
    const shown = runs.map((run, i) => ({ run, i })).filter(({ run }) => has(run, task));
    const series = shown.map(({ run, i }) => ({
      name: runs.length === 2 ? run.name : t("models.bins"),
      ink: i + 1,
      line: "solid",
      mark: true,
      points: run.evaluation.tasks[task].reliability.map((bin) => ({ x: bin.predicted, y: bin.observed, n: bin.n })),
    }));
    const most = Math.max(...series.flatMap(({ points }) => points.flatMap(({ x, y }) => [x, y]))) * 1.04;
    const axis = (label) => ({ label, min: 0, max: most, format: (v, step) => percent(v, digitsOf(step * 100)) });
    const own = runs[0].evaluation?.tasks?.[task];
    return figure({
      title: named("task", task),
      note: own ? t("models.calibration.of", { ece: short(own.ece), pcoc: fixed(own.pcoc, 3) }) : "",
      legend: () => series,
      draw: (width) =>
        plot({
          width,
          height: Math.min(300, Math.max(220, width * 0.8)),
          label: `${named("task", task)}: ${t("models.calibration")}`,
          x: axis(t("models.predicted")),
          y: axis(t("models.observed")),
          series,
          guides: [
            [
              [0, 0],
              [most, most],
            ],
          ],
        }),
      rows: () => ({
        head: [t("models.run"), t("models.predicted"), t("models.observed"), t("models.rows")],
        rows: shown.flatMap(({ run }) =>
          run.evaluation.tasks[task].reliability.map((bin) => [
            run.name,
            percent(bin.predicted, 2),
            percent(bin.observed, 2),
            count(bin.n),
          ]),
        ),
      }),
    });
  });
}

/** How gates share their attention out, and experts that nobody listens to. */
function experts(runs) {
  return runs
    .filter((run) => run.experts?.length)
    .map((run) => {
      const n = Math.max(...run.experts.map(({ shares }) => shares.length));
      const used = new Map();
      for (const { shares, names } of run.experts)
        shares.forEach((share, e) => {
          // Gates may have experts of their own.
          const name = names?.[e] ?? String(e + 1);
          used.set(name, Math.max(share, used.get(name) ?? 0));
        });
      const idle = [...used].filter(([, share]) => share < 0.02).map(([name]) => name);
      const names = Array.from({ length: n }, (_, e) => t("models.expert", { n: e + 1 }));
      return figure({
        title: run.name,
        note: idle.length ? t("models.experts.idle", { which: idle.join(", ") }) : t("models.experts.fine"),
        legend: () => names.map((name, e) => ({ name, ink: (e % 6) + 1, area: true, letter: String(e + 1) })),
        draw: (width) =>
          stackedRows({
            width,
            rows: run.experts.map(({ gate, shares }) => ({
              name: named("task", gate),
              parts: shares.map((value, e) => ({
                name: names[e],
                letter: String(e + 1),
                ink: (e % 6) + 1,
                value,
                text: percent(value, 0),
              })),
              text: t("models.experts.effective", { n: fixed(effective(shares), 1) }),
            })),
          }),
        rows: () => ({
          head: [t("models.gate"), ...names],
          rows: run.experts.map(({ gate, shares }) => [
            named("task", gate),
            ...shares.map((share) => percent(share, 1)),
          ]),
        }),
      });
    });
}

/** How many experts a gate uses, in effect: the exponential of the entropy of its shares. */
const effective = (shares) => Math.exp(-shares.filter((p) => p > 0).reduce((sum, p) => sum + p * Math.log(p), 0));

function settingsOf(run) {
  const m = run.manifest ?? {};
  const facts = [
    [t("models.created"), moment(m.created_at)],
    [t("models.kind"), named("kind", run.config?.model?.kind ?? "–")],
    [t("models.seed"), m.seed ?? "–"],
    [t("models.data"), m.data_fingerprint ?? "–"],
    [t("models.program"), m.program_version ?? "–"],
  ];
  return h(
    "div",
    {},
    h("h3", {}, h("bdi", {}, run.name)),
    h(
      "dl",
      { class: "facts" },
      facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]),
    ),
    h(
      "details",
      {},
      h("summary", {}, t("models.configuration")),
      h("pre", { tabindex: "0" }, JSON.stringify(run.config ?? {}, null, 2)),
    ),
  );
}

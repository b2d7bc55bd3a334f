// Work in the background, as it goes: training, or computing trade-offs. The server has one at a time.

import { ask, inWords } from "./api.js";
import { digitsOf, figure, plot } from "./chart.js";
import { openDialog } from "./dialog.js";
import { h, show } from "./dom.js";
import { named, t } from "./language.js";
import { done, failed } from "./notices.js";
import { clock, fixed, percent, signed } from "./numbers.js";
import { onEvent } from "./stream.js";

/** A panel that follows the job. `only`: a kind of work that it is about; others are left out. */
export function jobPanel(signal, only = null) {
  const place = h("div", { class: "job" });
  const said = h("p", { class: "visually-hidden", role: "status", "aria-live": "polite" });
  const element = h("div", {}, said, place);
  let shown = null;
  const draw = (job) => {
    if (!job || (only && job.kind !== only)) return show(place);
    // Read out what phase it is in, not every percent.
    const phase =
      job.state === "running" ? t("job.running", { phase: named("phase", job.phase) }) : t(`job.${job.state}`);
    if (said.textContent !== phase) said.textContent = phase;
    if (shown?.id !== job.id || shown.state !== job.state) {
      shown = { id: job.id, state: job.state, ...panel(job) };
      show(place, shown.element);
    }
    shown.update(job);
  };
  onEvent("job", signal, (event) => draw(event.job === undefined ? event : event.job));
  ask("GET", "/v1/train", { signal }).then(({ job }) => draw(job), failed);
  return element;
}

function panel(job) {
  const running = job.state === "running";
  const bar = h("progress", { max: 1, "aria-label": t("job.progress") });
  const phase = h("p", {});
  const detail = h("p", { class: "small muted" });
  let rounds = [];
  const chart = figure({
    title: t("job.rounds"),
    note: t("models.learning.note"),
    draw: (width) =>
      plot({
        width,
        height: 190,
        label: t("job.rounds"),
        x: {
          label: t("models.epoch"),
          min: 1,
          max: Math.max(2, rounds.length),
          format: (v) => (Number.isInteger(v) ? String(v) : ""),
        },
        y: { label: t("models.loss"), format: (v, step) => fixed(v, digitsOf(step)) },
        series: [
          {
            name: t("models.valid"),
            ink: 1,
            line: "solid",
            mark: true,
            points: rounds.map((round, i) => ({ x: i + 1, y: round.valid_loss })),
          },
        ],
      }),
    rows: () => ({
      head: [t("models.epoch"), t("models.valid")],
      rows: rounds.map((round) => [String(round.epoch), fixed(round.valid_loss, 4)]),
    }),
  });
  chart.hidden = true;
  const cancel = h("button", { type: "button", class: "button small-button" }, t("job.cancel"));
  cancel.addEventListener("click", async () => {
    const gone = await openDialog({
      title: t("job.cancel.title"),
      body: h("p", {}, t("job.cancel.why")),
      action: t("job.cancel"),
      danger: true,
      say: inWords,
      submit: () => ask("DELETE", "/v1/train").then(() => true),
    });
    if (gone) done(t("job.cancelled"));
  });
  const outcome = h("div", {});
  const element = h(
    "section",
    { class: "panel" },
    h("div", { class: "row between" }, h("h2", {}, t(`job.kind.${job.kind}`)), running ? cancel : null),
    phase,
    running ? bar : null,
    detail,
    chart,
    outcome,
  );
  return {
    element,
    update(now) {
      // Without a value the bar says that it is not known how far it is.
      if (typeof now.progress === "number") bar.value = now.progress;
      else bar.removeAttribute("value");
      const far = typeof now.progress === "number" ? ` · ${percent(now.progress, 0)}` : "";
      phase.textContent = running
        ? `${named("phase", now.phase)}${far}`
        : `${t(`job.${now.state}`)}${now.finished ? ` · ${clock(now.finished)}` : ""}`;
      detail.textContent = now.detail ?? "";
      rounds = now.rounds ?? [];
      chart.hidden = rounds.length === 0;
      if (rounds.length) chart.redraw();
      show(outcome, now.result ? resultOf(now.result) : []);
    },
  };
}

/** Champion and challenger side by side. */
function resultOf({ champion, challenger, promoted, why }) {
  const rows = [];
  for (const [task, own] of Object.entries(challenger ?? {})) {
    for (const metric of ["auc", "logloss", "ce", "rmse", "mse"]) {
      if (typeof own[metric] !== "number") continue;
      const was = champion?.[task]?.[metric];
      rows.push(
        h(
          "tr",
          {},
          h("th", { scope: "row" }, `${named("task", task)} · ${named("metric", metric)}`),
          h("td", {}, fixed(was, 4)),
          h("td", {}, fixed(own[metric], 4)),
          h("td", {}, typeof was === "number" ? signed(own[metric] - was, 4) : "–"),
        ),
      );
    }
  }
  const table = h(
    "table",
    {},
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["job.metric", "job.champion", "job.challenger", "models.difference"].map((key) =>
          h("th", { scope: "col" }, t(key)),
        ),
      ),
    ),
    h("tbody", {}, rows),
  );
  return [
    h("p", {}, h("strong", {}, t(promoted ? "job.promoted" : "job.kept")), " ", why ?? ""),
    rows.length
      ? h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": t("job.metric") }, table)
      : null,
  ];
}

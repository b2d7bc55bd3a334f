// Live: what visitors get at the moment, in total, per arm or per preset.

import { ask } from "./api.js";
import { digitsOf, figure, plot } from "./chart.js";
import { h, show, unique } from "./dom.js";
import { t } from "./language.js";
import { failed } from "./notices.js";
import { clock, count, fixed, percent } from "./numbers.js";
import { onEvent } from "./stream.js";
import { summed, Traffic } from "./traffic.js";

/** Charts: what, its values, how ticks and cells are written. */
const CHARTS = [
  { name: "rate", of: ["rate"], tick: (v, step) => fixed(v, digitsOf(step)), cell: (v) => fixed(v, 1), zero: true },
  {
    name: "latency",
    of: ["p50_ms", "p99_ms"],
    tick: (v, step) => fixed(v, digitsOf(step)),
    cell: (v) => fixed(v, 1),
    zero: true,
  },
  { name: "ctr", of: ["ctr"], tick: (v, step) => percent(v, digitsOf(step * 100)), cell: (v) => percent(v, 2) },
  { name: "cvr", of: ["cvr"], tick: (v, step) => percent(v, digitsOf(step * 100)), cell: (v) => percent(v, 2) },
  { name: "entropy", of: ["entropy"], tick: (v, step) => fixed(v, digitsOf(step)), cell: (v) => fixed(v, 3) },
  { name: "novelty", of: ["novelty"], tick: (v, step) => percent(v, digitsOf(step * 100)), cell: (v) => percent(v, 1) },
];

/** Minutes shown, with the seconds of a step: about sixty of them. */
const WINDOWS = { 5: 5, 15: 15, 60: 60 };

/** How often the whole hour is asked for anew, in case an event was missed. */
const AGAIN = 30_000;

export async function mount({ body, signal }) {
  show(body, h("p", { class: "loading" }, t("loading")));
  const traffic = new Traffic();
  const chosen = { minutes: 15, group: "totals", paused: false, end: 0 };
  const load = async () =>
    traffic.load(await ask("GET", "/v1/stats?minutes=60", { signal }), Math.floor(Date.now() / 1000));
  await load();

  const tiles = h("dl", { class: "tiles" });
  const charts = CHARTS.map((chart) => chartOf(chart, traffic, chosen));
  const grid = h(
    "div",
    { class: "figures live" },
    charts.map((chart) => h("section", { class: "panel" }, chart)),
  );
  const quiet = h(
    "div",
    { class: "empty", hidden: true },
    h("h2", {}, t("live.quiet")),
    h("p", {}, t("live.quiet.next")),
  );
  const redraw = () => {
    // At most once per frame, and not where nobody looks.
    if (document.hidden) return;
    if (!chosen.paused) chosen.end = Math.floor(Date.now() / 1000);
    quiet.hidden = spanOf(traffic, chosen, "totals", "").some(({ requests }) => requests > 0);
    show(tiles, tilesOf(traffic, chosen));
    for (const chart of charts) chart.redraw();
  };

  const [windowId, groupId] = [unique("window"), unique("group")];
  const window = h(
    "select",
    { id: windowId },
    Object.keys(WINDOWS).map((n) =>
      h("option", { value: n, selected: Number(n) === chosen.minutes }, t("live.minutes", { n })),
    ),
  );
  window.addEventListener("change", () => {
    chosen.minutes = Number(window.value);
    redraw();
  });
  const group = h(
    "select",
    { id: groupId },
    ["totals", "arms", "presets"].map((name) => h("option", { value: name }, t(`live.${name}`))),
  );
  group.addEventListener("change", () => {
    chosen.group = group.value;
    none.hidden = chosen.group === "totals" || traffic.names(chosen.group).length > 0;
    redraw();
  });
  const none = h("p", { class: "muted", hidden: true }, t("live.nobody"));
  const pause = h("button", { type: "button", class: "button", "aria-pressed": "false" }, t("live.pause"));
  pause.addEventListener("click", () => {
    chosen.paused = !chosen.paused;
    pause.textContent = t(chosen.paused ? "live.resume" : "live.pause");
    pause.setAttribute("aria-pressed", String(chosen.paused));
    state.textContent = chosen.paused ? t("live.paused", { time: clock(chosen.end) }) : "";
    if (chosen.paused) redraw();
    else load().then(redraw, failed);
  });
  const state = h("p", { class: "muted", role: "status" });
  const bar = h(
    "div",
    { class: "row live-bar" },
    h("div", { class: "field inline" }, h("label", { for: windowId }, t("live.window")), window),
    h("div", { class: "field inline" }, h("label", { for: groupId }, t("live.split")), group),
    pause,
    state,
  );
  show(body, h("div", { class: "stack" }, bar, none, tiles, quiet, grid));
  redraw();
  onEvent("stats", signal, (event) => {
    const whole = traffic.add(event);
    if (chosen.paused) return;
    if (whole) redraw();
    else load().then(redraw, failed);
  });
  const timer = setInterval(() => {
    if (!chosen.paused && !document.hidden) load().then(redraw, failed);
  }, AGAIN);
  signal.addEventListener("abort", () => clearInterval(timer));
  document.addEventListener("visibilitychange", redraw, { signal });
}

const spanOf = (traffic, { end, minutes }, group, name) =>
  traffic.steps(group, name, { start: end - 60 * minutes, end, step: WINDOWS[minutes] });

/** The last minute in figures. */
function tilesOf(traffic, chosen) {
  const seconds = traffic.steps("totals", "", { start: chosen.end - 60, end: chosen.end, step: 5 });
  const last = summed(seconds, 5);
  if (seconds.length === 0) return [];
  const facts = [
    ["rate", fixed(last.rate, 1)],
    ["p50", t("live.ms", { n: fixed(last.p50_ms, 1) })],
    ["p99", t("live.ms", { n: fixed(last.p99_ms, 1) })],
    ["ctr", percent(last.ctr, 2)],
    ["cvr", percent(last.cvr, 2)],
    ["rejected", count(last.rejected)],
    ["errors", count(last.errors)],
  ];
  return facts.map(([name, value]) => h("div", {}, h("dt", {}, t(`tile.${name}`)), h("dd", {}, value)));
}

function chartOf(chart, traffic, chosen) {
  const series = () => {
    const names = chosen.group === "totals" ? [""] : traffic.names(chosen.group);
    return names.flatMap((name, i) => {
      const steps = spanOf(traffic, chosen, chosen.group, name);
      const ink = chosen.group === "totals" ? 1 : (i % 6) + 1;
      return chart.of.map((value, n) => ({
        name: [name, chart.of.length > 1 || !name ? t(`live.${value}`) : ""].filter(Boolean).join(" · "),
        ink: chosen.group === "totals" && n > 0 ? 2 : ink,
        line: n > 0 ? "dashed" : "solid",
        mark: names.length > 1 ? "some" : false,
        points: steps.map((step) => ({ x: step.t, y: step[value] })),
      }));
    });
  };
  return figure({
    title: t(`chart.${chart.name}`),
    note: t(`chart.${chart.name}.note`),
    level: "h2",
    legend: series,
    draw: (width) =>
      plot({
        width,
        height: 200,
        label: t(`chart.${chart.name}`),
        x: {
          time: true,
          min: chosen.end - 60 * chosen.minutes,
          max: chosen.end,
          format: (v, step) => clock(v, step < 60),
        },
        y: { label: t(`unit.${chart.name}`), min: chart.zero ? 0 : undefined, format: chart.tick },
        series: series(),
      }),
    rows: () => {
      const all = series();
      const times = (all[0]?.points ?? []).map(({ x }) => x).reverse();
      const cell = (own, x) => chart.cell(own.points.find((p) => p.x === x)?.y ?? null);
      return {
        head: [t("live.time"), ...all.map(({ name }) => name)],
        rows: times.map((x) => [clock(x), ...all.map((own) => cell(own, x))]),
      };
    },
  });
}

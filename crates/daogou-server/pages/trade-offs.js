// Trade-offs: what each objective costs in terms of another. A point is a set of weights; choosing one puts its weights
// on the Lists page.

import { ask, Refused } from "./api.js";
import { digitsOf, figure, mark, plot } from "./chart.js";
import { add, h, s, show, unique } from "./dom.js";
import { axesOf, bestOn, isGain, isOwn, mean } from "./front.js";
import { jobPanel } from "./job.js";
import { named, t } from "./language.js";
import { failed } from "./notices.js";
import { count, fixed, percent, short } from "./numbers.js";
import { savePreset, weightsInWords } from "./presets.js";
import { onEvent } from "./stream.js";
import { apply, written } from "./wish.js";

export async function mount({ body, values, signal }) {
  show(body, h("p", { class: "loading" }, t("loading")));
  const known = await ask("GET", "/v1/models", { signal });
  const usable = known.models.filter((model) => model.state !== "damaged");
  let model = usable.find(({ name }) => name === values.get("model"))?.name ?? known.serving ?? usable[0]?.name;
  if (!model) {
    show(body, h("div", { class: "empty" }, h("h2", {}, t("models.none")), h("p", {}, t("models.none.next"))));
    return;
  }
  const id = unique("model");
  const select = h(
    "select",
    { id },
    usable.map(({ name }) =>
      h(
        "option",
        { value: name, selected: name === model },
        name === known.serving ? t("models.serving.name", { name }) : name,
      ),
    ),
  );
  const place = h("div", { class: "stack" });
  show(
    body,
    h(
      "div",
      { class: "stack" },
      h("div", { class: "field narrow" }, h("label", { for: id }, t("trade-offs.model")), select),
      place,
    ),
  );
  const load = () => front(place, model, signal);
  select.addEventListener("change", () => {
    model = select.value;
    history.replaceState(null, "", `#/trade-offs?model=${encodeURIComponent(model)}`);
    load().catch(failed);
  });
  onEvent("job", signal, (job) => {
    if (job.kind === "trade-offs" && job.state === "done") load().catch(failed);
  });
  await load();
}

/** Loads and shows the front of a run, or how to get one. */
async function front(place, model, signal) {
  const path = `/v1/models/${encodeURIComponent(model)}/trade-offs`;
  show(place, h("p", { class: "loading" }, t("loading")));
  try {
    const sweep = await ask("GET", path, { signal });
    show(place, explorer(sweep));
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 404) throw error;
    const start = h("button", { type: "button", class: "button primary" }, t("trade-offs.compute"));
    const job = jobPanel(signal, "trade-offs");
    start.addEventListener("click", async () => {
      start.disabled = true;
      try {
        await ask("POST", path, { signal });
      } catch (refused) {
        failed(refused);
      }
      start.disabled = false;
    });
    show(
      place,
      h("div", { class: "empty" }, h("h2", {}, t("trade-offs.none")), h("p", {}, t("trade-offs.none.next")), start),
      job,
    );
  }
}

/** The drawing with its choices. */
function explorer(sweep) {
  const axes = axesOf(sweep);
  const chosen = {
    x: axes.includes("diversity") ? "diversity" : axes[0],
    y: axes.includes("click") ? "click" : (axes[1] ?? axes[0]),
    others: false,
    point: null,
  };
  const own = sweep.points.map((_, i) => i).filter((i) => isOwn(sweep.points[i]));
  const rivals = sweep.points.map((_, i) => i).filter((i) => sweep.points[i].heads === "trained" && !own.includes(i));

  const details = h("section", { class: "panel point", "aria-live": "polite" });
  let described = null;
  const describe = (i) => {
    if (i === described) return;
    described = i;
    show(details, pointDetails(sweep, i, chosen.point === i));
  };
  const choose = (i) => {
    chosen.point = i;
    const point = sweep.points[i];
    apply({ objectives: point.weights, explore: point.explore });
    described = null;
    describe(i);
    chart.redraw();
  };

  const frontier = () => bestOn(sweep.points, own, chosen.x, chosen.y);
  const inFront = new Set(sweep.front);
  const series = () => {
    const best = new Set(frontier());
    const points = (among) =>
      among
        .map((i) => ({ x: mean(sweep.points[i], chosen.x), y: mean(sweep.points[i], chosen.y), i }))
        .filter((p) => p.x !== null && p.y !== null);
    const all = [
      {
        name: t("trade-offs.best", { n: best.size }),
        ink: 1,
        line: "solid",
        mark: true,
        points: points(frontier()),
        size: 4.6,
      },
      {
        name: t("trade-offs.front"),
        ink: 1,
        mark: true,
        hollow: true,
        points: points(own.filter((i) => !best.has(i) && inFront.has(i))),
      },
      {
        name: t("trade-offs.beaten"),
        ink: 6,
        mark: true,
        points: points(own.filter((i) => !best.has(i) && !inFront.has(i))),
        size: 2.2,
      },
    ];
    if (chosen.others) all.push({ name: t("trade-offs.others"), ink: 2, mark: true, points: points(rivals), size: 3 });
    return all;
  };
  const axis = (name) => ({
    label: `${named("axis", name)} ${isGain(name) ? t("axis.more") : t("axis.less")}`,
    format: (value, step) => fixed(value, digitsOf(step)),
  });
  const chart = figure({
    title: t("trade-offs.chart"),
    note: t("trade-offs.note"),
    level: "h2",
    legend: series,
    draw: (width) =>
      plot({
        width,
        height: Math.min(460, Math.max(280, width * 0.62)),
        x: axis(chosen.x),
        y: axis(chosen.y),
        series: series(),
        over: (scale) => targets({ ...scale, sweep, chosen, order: order(), describe, choose }),
      }),
    rows: () => ({
      head: [t("trade-offs.weights"), named("axis", chosen.x), named("axis", chosen.y), ""],
      rows: order().map((i) => {
        const take = h(
          "button",
          { type: "button", class: "quiet", on: { click: () => choose(i) } },
          t("trade-offs.apply"),
        );
        return [
          weightsInWords(sweep.points[i].weights, sweep.points[i].explore),
          ...[chosen.x, chosen.y].map((name) => valueText(sweep.points[i], name)),
          take,
        ];
      }),
    }),
  });
  /** Points that can be chosen: the best on these axes, then those of the whole front, from left to right. */
  const order = () =>
    [...new Set([...frontier(), ...sweep.front])]
      .filter((i) => mean(sweep.points[i], chosen.x) !== null)
      .sort((a, b) => mean(sweep.points[a], chosen.x) - mean(sweep.points[b], chosen.x) || a - b);

  const axisSelect = (which, label) => {
    const id = unique("axis");
    const select = h(
      "select",
      { id },
      axes.map((name) => h("option", { value: name, selected: name === chosen[which] }, named("axis", name))),
    );
    select.addEventListener("change", () => {
      chosen[which] = select.value;
      chart.redraw();
    });
    return h("div", { class: "field" }, h("label", { for: id }, label), select);
  };
  const others = h("input", { type: "checkbox" });
  others.addEventListener("change", () => {
    chosen.others = others.checked;
    chart.redraw();
  });
  describe(chosen.point ?? sweep.knee);
  return h(
    "div",
    { class: "trade-offs" },
    h(
      "section",
      { class: "panel" },
      h(
        "div",
        { class: "field-row axes" },
        axisSelect("x", t("trade-offs.x")),
        axisSelect("y", t("trade-offs.y")),
        rivals.length ? h("label", { class: "check" }, others, " ", t("trade-offs.others")) : null,
      ),
      chart,
      h(
        "p",
        { class: "small muted" },
        t(sweep.judge === "truth" ? "trade-offs.judge.truth" : "trade-offs.judge.model"),
        " ",
        t("trade-offs.made", { n: count(sweep.requests), k: sweep.k }),
      ),
    ),
    details,
  );
}

/** Marks that can be pointed at, and walked through with the arrow keys: one stop for the Tab key. */
function targets({ svg, px, py, sweep, chosen, order, describe, choose }) {
  const list = s("g", { role: "listbox", "aria-label": t("trade-offs.points"), "aria-orientation": "horizontal" });
  const elements = order.map((i, n) => {
    const point = sweep.points[i];
    const [x, y] = [px(mean(point, chosen.x)), py(mean(point, chosen.y))];
    const label = `${weightsInWords(point.weights, point.explore)}: ${[chosen.x, chosen.y].map((name) => `${named("axis", name)} ${valueText(point, name)}`).join(", ")}`;
    const target = s("g", {
      class: "target",
      role: "option",
      tabindex: "-1",
      "aria-selected": String(chosen.point === i),
      "aria-label": label,
    });
    add(target, s("circle", { class: "hit", cx: x, cy: y, r: 11 }));
    if (i === sweep.knee) add(target, s("circle", { class: "knee", cx: x, cy: y, r: 8 }));
    if (chosen.point === i)
      add(target, s("circle", { class: "chosen", cx: x, cy: y, r: 8 }), mark(1, x, y, { size: 5 }));
    // Not "pointerenter": a drawing made anew enters a pointer that rests, and would take a keyboard's choice back.
    target.addEventListener("pointermove", () => describe(i));
    target.addEventListener("focus", () => describe(i));
    target.addEventListener("click", () => choose(i));
    target.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -n, End: order.length - 1 - n }[
        event.key
      ];
      if (step !== undefined) {
        event.preventDefault();
        const next = elements[Math.min(order.length - 1, Math.max(0, n + step))];
        target.setAttribute("tabindex", "-1");
        next.setAttribute("tabindex", "0");
        next.focus();
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(i);
        // Choosing draws anew: the focus goes to the same point.
        document.querySelector('.target[aria-selected="true"]')?.focus();
      }
    });
    return target;
  });
  const first = Math.max(0, order.indexOf(chosen.point ?? sweep.knee));
  elements[first]?.setAttribute("tabindex", "0");
  add(svg, add(list, elements));
  list.addEventListener("pointerleave", () => describe(chosen.point ?? sweep.knee));
}

function valueText(point, axis) {
  const value = mean(point, axis);
  return axis === "novelty" ? percent(value, 1) : axis === "revenue" ? fixed(value, 1) : fixed(value, 3);
}

/** Weights and all values of a point. */
function pointDetails(sweep, i, isChosen) {
  const point = sweep.points[i];
  const title = isChosen ? t("trade-offs.chosen") : i === sweep.knee ? t("trade-offs.knee") : t("trade-offs.point");
  const weights = h("table", { class: "fill" });
  add(
    weights,
    h("caption", {}, t("trade-offs.weights")),
    add(
      h("tbody", {}),
      [...Object.entries(point.weights), ["explore", point.explore]].map(([name, weight]) =>
        h("tr", {}, h("th", { scope: "row" }, named("objective", name)), h("td", {}, short(weight))),
      ),
    ),
  );
  const values = h("table", { class: "fill" });
  add(
    values,
    h("caption", {}, t("trade-offs.values")),
    add(
      h("tbody", {}),
      axesOf(sweep).map((axis) => {
        const interval = point.values[axis]?.interval;
        const ends = interval
          ? h(
              "span",
              { class: "interval" },
              `[${interval.map((end) => fixed(end, axis === "revenue" ? 1 : 3)).join(", ")}]`,
            )
          : null;
        return h("tr", {}, h("th", { scope: "row" }, named("axis", axis)), h("td", {}, valueText(point, axis), ends));
      }),
    ),
  );
  const use = h("button", { type: "button", class: "button primary" }, t("trade-offs.see"));
  use.addEventListener("click", () => {
    apply({ objectives: point.weights, explore: point.explore });
    location.hash = written();
  });
  const save = h("button", { type: "button", class: "button" }, t("preset.save"));
  save.addEventListener("click", async () => {
    try {
      const { presets } = await ask("GET", "/v1/presets");
      await savePreset({ objectives: point.weights, explore: point.explore, known: presets.map(({ name }) => name) });
    } catch (error) {
      failed(error);
    }
  });
  return [
    h("h2", {}, title),
    h(
      "p",
      { class: "small muted" },
      isChosen ? t("trade-offs.applied") : i === sweep.knee ? t("trade-offs.knee.why") : t("trade-offs.point.how"),
    ),
    weights,
    values,
    h("div", { class: "row" }, use, save),
  ];
}

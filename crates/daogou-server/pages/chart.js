// Charts: drawings in the page's colours, each with the same as a table. A series has a colour, a mark and a kind of
// line of its own, so that no colour is the only sign. Drawn at the width there is, so that text keeps its size.

import { add, h, s, show, unique } from "./dom.js";
import { t } from "./language.js";
import { table } from "./table.js";

/**
 * A figure: title, a sentence, a switch between drawing and table. `draw(width)` gives an SVG or another element,
 * `rows()` what `table` takes. `legend`: series to name. The figure's `redraw()` draws it anew.
 */
export function figure({ title, note, legend = () => [], draw, rows, level = "h3" }) {
  const place = h("div", { class: "drawing" });
  const twin = h("div", { class: "twin", hidden: true });
  const keys = h("ul", { class: "legend" });
  const heading = unique("figure");
  const flip = h("button", { type: "button", class: "quiet flip", "aria-pressed": "false" }, t("chart.table"));
  const said = h("p", { class: "note" }, note);
  const own = h(
    "figure",
    { "aria-labelledby": heading },
    h("div", { class: "figure-head" }, h(level, { id: heading }, title), flip),
    said,
    keys,
    place,
    twin,
  );
  let width = 0;
  const redraw = () => {
    if (!own.isConnected || width === 0) return;
    if (twin.hidden) {
      show(place, draw(width));
      // One series needs no key: the title says what it is.
      const named = legend();
      show(keys, named.length < 2 ? [] : named.map((series) => h("li", {}, swatch(series), series.name)));
    } else {
      const scroll = twin.firstElementChild?.scrollTop ?? 0;
      show(twin, table({ name: title, ...rows() }));
      twin.firstElementChild.scrollTop = scroll;
    }
  };
  flip.addEventListener("click", () => {
    twin.hidden = !twin.hidden;
    place.hidden = keys.hidden = !twin.hidden;
    flip.setAttribute("aria-pressed", String(!twin.hidden));
    redraw();
  });
  new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now === width) return;
    width = now;
    redraw();
  }).observe(own);
  own.redraw = (text) => {
    if (text !== undefined) said.textContent = text;
    redraw();
  };
  return own;
}

/** How a series looks: the colour and mark of its number, counted from 1. */
function swatch(series) {
  const svg = s("svg", { class: "swatch-key", width: 22, height: 12, viewBox: "0 0 22 12", "aria-hidden": "true" });
  if (series.area) add(svg, s("rect", { class: `fill-${series.ink}`, x: 4, y: 1, width: 14, height: 10, rx: 2 }));
  if (series.line) add(svg, s("line", { class: `line ink-${series.ink} ${series.line}`, x1: 0, x2: 22, y1: 6, y2: 6 }));
  if (series.mark) add(svg, mark(series.ink, 11, 6, { hollow: series.hollow }));
  if (series.letter) add(svg, s("text", { class: "letter", x: 11, y: 9.5 }, series.letter));
  return svg;
}

/** The mark of a series. */
export function mark(ink, x, y, { hollow = false, size = 3.6 } = {}) {
  const r = size;
  const shapes = {
    1: `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    2: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    3: `M${x} ${y - 1.2 * r}l${1.2 * r} ${2.1 * r}h${-2.4 * r}z`,
    4: `M${x} ${y - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}z`,
    5: `M${x} ${y + 1.2 * r}l${1.2 * r} ${-2.1 * r}h${-2.4 * r}z`,
    6: `M${x - r} ${y - r}l${2 * r} ${2 * r}M${x + r} ${y - r}l${-2 * r} ${2 * r}`,
  };
  return s("path", { class: hollow || ink === 6 ? `mark ink-${ink} hollow` : `mark fill-${ink} rim`, d: shapes[ink] });
}

/** Round numbers from `low` to `high`, about `n` of them. */
export function ticks(low, high, n) {
  const rough = (high - low) / Math.max(1, n);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((f) => f >= 0.75 * rough) ?? rough;
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) out.push(i * step || 0);
  return { step, values: out };
}

/** Times at round minutes or hours. */
function timeTicks(low, high, n) {
  const steps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
  const step = steps.find((own) => own >= (high - low) / n) ?? 86400;
  const out = [];
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) out.push(v);
  return { step, values: out };
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** From where to where an axis goes, given its data. */
function extent(axis, values) {
  let low = axis.min ?? Infinity;
  let high = axis.max ?? -Infinity;
  for (const value of values) {
    if (axis.min === undefined || axis.min === null) low = Math.min(low, value);
    if (axis.max === undefined || axis.max === null) high = Math.max(high, value);
  }
  if (!(low <= high)) [low, high] = isNumber(axis.min) ? [axis.min, axis.min + 1] : [0, 1];
  const span = high - low || Math.abs(high) * 0.1 || 1;
  return [isNumber(axis.min) ? low : low - 0.06 * span, isNumber(axis.max) ? high : high + 0.06 * span];
}

/**
 * Curves and points over two axes. An axis: `{ label, min?, max?, time?, format }` with `format(value, step)`. A
 * series: `{ name, points: [{ x, y, low?, high? }], ink, line?: "solid" | "dashed", mark?: true | "some" }`; a point
 * without `y` breaks the line. `over(scale)` may add what lies on top.
 */
export function plot({ width, height = 220, x, y, series, over, label, guides = [] }) {
  const points = series.flatMap((own) => own.points).filter((p) => isNumber(p.x) && isNumber(p.y));
  const [x0, x1] = extent(
    x,
    points.map((p) => p.x),
  );
  const ends = points.flatMap((p) => [p.y, p.low, p.high]).filter(isNumber);
  const [y0, y1] = extent(y, ends);
  const yTicks = ticks(y0, y1, Math.max(2, Math.round(height / 48)));
  const yTexts = yTicks.values.map((value) => y.format(value, yTicks.step));
  const left = Math.max(26, 10 + 6.4 * Math.max(0, ...yTexts.map((text) => text.length)));
  const [top, right, bottom] = [22, 12, x.label ? 38 : 24];
  const px = (value) => left + ((value - x0) / (x1 - x0)) * (width - left - right);
  const py = (value) => height - bottom - ((value - y0) / (y1 - y0)) * (height - top - bottom);
  const n = Math.max(2, Math.floor((width - left) / 72));
  const xTicks = x.time ? timeTicks(x0, x1, n) : ticks(x0, x1, n);
  const svg = s("svg", {
    class: "plot",
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: over ? null : "img",
    "aria-label": over ? null : label,
  });
  add(svg, s("text", { class: "axis-name", x: 2, y: 11 }, y.label));
  for (const [i, value] of yTicks.values.entries()) {
    add(svg, s("line", { class: "grid-line", x1: left, x2: width - right, y1: py(value), y2: py(value) }));
    add(svg, s("text", { class: "tick end", x: left - 6, y: py(value) + 4 }, yTexts[i]));
  }
  for (const value of xTicks.values) {
    const text = x.format(value, xTicks.step);
    const half = 3.2 * text.length;
    const at = Math.min(width - half - 2, Math.max(left - 8 + half, px(value)));
    add(
      svg,
      s("line", { class: "axis-line", x1: px(value), x2: px(value), y1: height - bottom, y2: height - bottom + 4 }),
    );
    add(svg, s("text", { class: "tick middle", x: at, y: height - bottom + 16 }, text));
  }
  add(svg, s("line", { class: "axis-line", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  if (x.label) add(svg, s("text", { class: "axis-name end", x: width - right, y: height - 5 }, x.label));
  for (const [[ax, ay], [bx, by]] of guides) {
    add(svg, s("line", { class: "guide", x1: px(ax), y1: py(ay), x2: px(bx), y2: py(by) }));
  }
  for (const own of [...series].reverse()) {
    for (const p of own.points) {
      if (isNumber(p.low) && isNumber(p.high) && isNumber(p.x)) {
        add(
          svg,
          s("line", { class: `whisker ink-${own.ink}`, x1: px(p.x), x2: px(p.x), y1: py(p.low), y2: py(p.high) }),
        );
      }
    }
    if (own.line) {
      let path = "";
      let pen = "M";
      for (const p of own.points) {
        if (isNumber(p.x) && isNumber(p.y)) {
          path += `${pen}${px(p.x).toFixed(1)} ${py(p.y).toFixed(1)}`;
          pen = "L";
        } else pen = "M";
      }
      if (path) add(svg, s("path", { class: `line ink-${own.ink} ${own.line}`, d: path }));
    }
    if (own.mark) {
      const shown = own.points.filter((p) => isNumber(p.x) && isNumber(p.y));
      // Of a long curve some points are enough to tell it from others.
      const every = own.mark === "some" ? Math.max(1, Math.ceil(shown.length / 6)) : 1;
      for (const p of shown.filter((_, i) => (shown.length - 1 - i) % every === 0))
        add(svg, mark(own.ink, px(p.x), py(p.y), { hollow: own.hollow, size: own.size }));
    }
  }
  over?.({ svg, px, py });
  return svg;
}

/** Digits after the point that tell ticks apart. */
export const digitsOf = (step) =>
  Math.min(
    6,
    Math.max(
      0,
      -Math.floor(Math.log10(step) + 1e-9) + (step / 10 ** Math.floor(Math.log10(step) + 1e-9) === 2.5 ? 1 : 0),
    ),
  );

/**
 * Rows of stacked bars about a zero line. A row: `{ name, parts: [{ name, letter, ink, value }], text }`. Parts below
 * zero go to the left.
 */
export function stackedRows({ rows, width }) {
  const below = (row) => row.parts.reduce((sum, p) => sum + Math.min(0, p.value), 0);
  const above = (row) => row.parts.reduce((sum, p) => sum + Math.max(0, p.value), 0);
  const low = Math.min(0, ...rows.map(below));
  const high = Math.max(1e-9, ...rows.map(above));
  const room = Math.max(80, width - Math.min(150, width * 0.42) - 62);
  const px = (value) => ((value - low) / (high - low)) * room;
  const list = h("ol", { class: "stacked" });
  for (const row of rows) {
    const svg = s("svg", { width: room, height: 16, viewBox: `0 0 ${room} 16`, "aria-hidden": "true" });
    let [left, right] = [0, 0];
    for (const part of row.parts) {
      if (!part.value) continue;
      const from = part.value < 0 ? left + part.value : right;
      if (part.value < 0) left += part.value;
      else right += part.value;
      const wide = Math.abs(px(part.value) - px(0));
      add(svg, s("rect", { class: `fill-${part.ink} rim`, x: px(from), y: 1, width: wide, height: 14, rx: 2 }));
      if (wide >= 14) add(svg, s("text", { class: "letter", x: px(from) + wide / 2, y: 12 }, part.letter));
    }
    add(svg, s("line", { class: "axis-line", x1: px(0) || 0.5, x2: px(0) || 0.5, y1: 0, y2: 16 }));
    const said = row.parts
      .filter((p) => p.value)
      .map((p) => `${p.name} ${p.text}`)
      .join(", ");
    add(
      list,
      h(
        "li",
        {},
        h("bdi", { class: "stacked-name" }, row.name),
        h("span", { class: "visually-hidden" }, said),
        svg,
        h("span", { class: "stacked-sum" }, row.text),
      ),
    );
  }
  return list;
}

/** Means and intervals in named rows about a line at zero. A row: `{ name, value, low, high, ink, text }`. */
export function intervals({ rows, width, format, label }) {
  const values = rows.flatMap((row) => [row.value, row.low, row.high]).filter(isNumber);
  const [least, most] = [Math.min(0, ...values), Math.max(0, ...values)];
  const margin = 0.08 * (most - least || 1);
  const [low, high] = [least - margin, most + margin];
  const names = Math.min(120, width * 0.3);
  const right = 14;
  const px = (value) => names + ((value - low) / (high - low)) * (width - names - right);
  const height = 34 * rows.length + 30;
  const svg = s("svg", {
    class: "plot",
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: "img",
    "aria-label": label,
  });
  const marks = ticks(low, high, Math.max(2, Math.floor((width - names) / 80)));
  for (const value of marks.values) {
    add(svg, s("line", { class: "grid-line", x1: px(value), x2: px(value), y1: 0, y2: height - 24 }));
    add(svg, s("text", { class: "tick middle", x: px(value), y: height - 8 }, format(value, marks.step)));
  }
  add(svg, s("line", { class: "axis-line", x1: px(0), x2: px(0), y1: 0, y2: height - 24 }));
  for (const [i, row] of rows.entries()) {
    const y = 34 * i + 18;
    add(svg, s("text", { class: "row-name", x: 0, y: y + 4 }, row.name));
    if (!isNumber(row.value)) continue;
    if (isNumber(row.low) && isNumber(row.high)) {
      add(svg, s("line", { class: `line ink-${row.ink} solid`, x1: px(row.low), x2: px(row.high), y1: y, y2: y }));
      for (const end of [row.low, row.high])
        add(svg, s("line", { class: `line ink-${row.ink} solid`, x1: px(end), x2: px(end), y1: y - 5, y2: y + 5 }));
    }
    add(svg, mark(row.ink, px(row.value), y, { size: 4.5 }));
  }
  return svg;
}

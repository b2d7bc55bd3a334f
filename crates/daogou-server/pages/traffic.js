// Numbers of the last hour, kept and summed over steps of any length. Without drawing.

/** Seconds that are kept. */
const KEPT = 3900;

/**
 * What the server told, by time. Its own steps come with `/v1/stats`; the stream tells the last ones again, or single
 * seconds, which fill in where the step that holds them is not known yet.
 */
export class Traffic {
  #step = 5;
  #series = new Map();
  #heard = null;
  #since = Infinity;

  /** Takes the answer of `/v1/stats`; a step that `now` lies in is left out, as it is not whole. */
  load({ step_s: step, totals, arms, presets }, now) {
    this.#step = step;
    this.#series.clear();
    const whole = (points) => points.filter(({ t }) => t + step <= now);
    const all = (group) => Object.fromEntries(Object.entries(group).map(([name, points]) => [name, whole(points)]));
    this.#take(step, { totals: whole(totals), arms: all(arms), presets: all(presets) });
  }

  /** Takes an event of the stream, which has the same shape. False after a gap: load anew. */
  add(event) {
    const step = event.step_s ?? 1;
    this.#take(step, event.totals === undefined ? { totals: event } : event);
    // Whole steps of the last minute leave no gap; of quiet seconds nothing is told.
    if (step >= this.#step) return true;
    const t = Math.max(...[event.totals ?? event].flat().map((point) => point.t));
    if (!Number.isFinite(t)) return true;
    const gap = this.#heard === null || t - this.#heard > 2;
    if (gap) this.#since = t;
    this.#heard = t;
    return !gap;
  }

  #take(step, { totals, arms = {}, presets = {} }) {
    const put = (name, points) => {
      const own = this.#series.get(name) ?? new Map();
      this.#series.set(name, own);
      for (const point of [points].flat()) own.set(`${step} ${point.t}`, { step, point });
      const latest = Math.max(0, ...[...own.values()].map(({ point }) => point.t));
      for (const [key, { point }] of own) if (point.t < latest - KEPT) own.delete(key);
    };
    put("totals", totals);
    for (const [name, points] of Object.entries(arms)) put(`arms ${name}`, points);
    for (const [name, points] of Object.entries(presets)) put(`presets ${name}`, points);
  }

  /** Names of the series of a group: `arms` or `presets`. */
  names(group) {
    return [...this.#series.keys()]
      .filter((name) => name.startsWith(`${group} `))
      .map((name) => name.slice(group.length + 1))
      .sort();
  }

  /**
   * A series in steps of so many seconds, from `start` to `end`. Where nothing happened there are zeros; a step of
   * which only a part was heard is unknown.
   */
  steps(group, name, { start, end, step }) {
    const own = this.#series.get(group === "totals" ? group : `${group} ${name}`) ?? new Map();
    const covered = new Set();
    for (const { step: length, point } of own.values()) if (length === this.#step) covered.add(point.t);
    const sums = new Map();
    const first = Math.floor(start / step) * step;
    for (let t = first; t + step <= end; t += step) sums.set(t, empty(t));
    for (const { step: length, point } of own.values()) {
      const whole = Math.floor(point.t / this.#step) * this.#step;
      // A second inside a step that is known as a whole is in there already.
      if (length !== this.#step && covered.has(whole)) continue;
      const sum = sums.get(Math.floor(point.t / step) * step);
      if (!sum) continue;
      addTo(sum, point);
      if (length !== this.#step && whole < this.#since) sum.partial = true;
    }
    return [...sums.values()].map((sum) => (sum.partial ? { t: sum.t } : finished(sum, step)));
  }
}

/** Several steps, of so many seconds each, as one; those that are unknown do not count. */
export function summed(steps, seconds) {
  const known = steps.filter(({ requests }) => requests !== undefined);
  const sum = empty(steps[0]?.t ?? 0);
  for (const step of known) addTo(sum, step);
  return finished(sum, seconds * Math.max(1, known.length));
}

const COUNTS = ["requests", "errors", "rejected", "impressions", "clicks", "purchases"];
const MEANS = ["p50_ms", "entropy", "novelty"];

function empty(t) {
  return {
    t,
    p99_ms: null,
    ...Object.fromEntries(COUNTS.map((name) => [name, 0])),
    ...Object.fromEntries(MEANS.map((name) => [name, { sum: 0, weight: 0 }])),
  };
}

function addTo(sum, point) {
  for (const name of COUNTS) sum[name] += point[name] ?? 0;
  for (const name of MEANS) {
    if (typeof point[name] !== "number") continue;
    sum[name].sum += point[name] * Math.max(1, point.requests);
    sum[name].weight += Math.max(1, point.requests);
  }
  // Of quantiles there is no sum; the worst of the parts is what nobody was slower than.
  if (typeof point.p99_ms === "number") sum.p99_ms = Math.max(sum.p99_ms ?? 0, point.p99_ms);
}

function finished(sum, step) {
  const means = Object.fromEntries(
    MEANS.map((name) => [name, sum[name].weight ? sum[name].sum / sum[name].weight : null]),
  );
  return {
    ...sum,
    ...means,
    rate: sum.requests / step,
    ctr: sum.impressions ? sum.clicks / sum.impressions : null,
    cvr: sum.clicks ? sum.purchases / sum.clicks : null,
  };
}

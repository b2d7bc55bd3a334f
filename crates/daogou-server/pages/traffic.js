// Numbers of the last hour, kept and summed over steps of any length. Without drawing.

/** Seconds that are kept. */
const KEPT = 3900;

/** What the server told, by time; points of the stream fill in where its own steps are not known yet. */
export class Traffic {
  #step = 5;
  #series = new Map();
  #latest = 0;

  /** Takes the answer of `/v1/stats`. */
  load({ step_s: step, totals, arms, presets }) {
    this.#step = step;
    this.#series.clear();
    this.#take(step, { totals, arms, presets });
  }

  /** Takes an event of the stream: the same shape, with single points for the last second. */
  add(event) {
    const { totals, arms, presets, step_s: step = 1 } = event;
    this.#take(step, totals === undefined ? { totals: event } : { totals, arms, presets });
  }

  #take(step, { totals, arms = {}, presets = {} }) {
    const put = (name, points) => {
      const own = this.#series.get(name) ?? new Map();
      this.#series.set(name, own);
      for (const point of [points].flat()) {
        own.set(`${step} ${point.t}`, { step, point });
        this.#latest = Math.max(this.#latest, point.t);
      }
      for (const [key, { point }] of own) if (point.t < this.#latest - KEPT) own.delete(key);
    };
    put("totals", totals);
    for (const [name, points] of Object.entries(arms)) put(`arms ${name}`, points);
    for (const [name, points] of Object.entries(presets)) put(`presets ${name}`, points);
  }

  /** Names of the series of a group: `arms` or `presets`. */
  names(group) {
    return [...this.#series.keys()].filter((name) => name.startsWith(`${group} `)).map((name) => name.slice(group.length + 1)).sort();
  }

  /** A series in steps of so many seconds, from `start` to `end`; steps in which nothing happened are there with zeros. */
  steps(group, name, { start, end, step }) {
    const own = this.#series.get(group === "totals" ? group : `${group} ${name}`) ?? new Map();
    const covered = new Set();
    for (const { step: length, point } of own.values()) if (length === this.#step) covered.add(point.t);
    const sums = new Map();
    const first = Math.floor(start / step) * step;
    for (let t = first; t + step <= end; t += step) sums.set(t, empty(t));
    for (const { step: length, point } of own.values()) {
      // A second inside a step that is known as a whole is in there already.
      if (length !== this.#step && covered.has(Math.floor(point.t / this.#step) * this.#step)) continue;
      const sum = sums.get(Math.floor(point.t / step) * step);
      if (sum) addTo(sum, point);
    }
    return [...sums.values()].map((sum) => finished(sum, step));
  }
}

/** Several steps as one of so many seconds. */
export function summed(steps, seconds) {
  const sum = empty(steps[0]?.t ?? 0);
  for (const step of steps) addTo(sum, step);
  return finished(sum, seconds);
}

const COUNTS = ["requests", "errors", "rejected", "impressions", "clicks", "purchases"];
const MEANS = ["p50_ms", "entropy", "novelty"];

function empty(t) {
  return { t, p99_ms: null, ...Object.fromEntries(COUNTS.map((name) => [name, 0])), ...Object.fromEntries(MEANS.map((name) => [name, { sum: 0, weight: 0 }])) };
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
  const means = Object.fromEntries(MEANS.map((name) => [name, sum[name].weight ? sum[name].sum / sum[name].weight : null]));
  return { ...sum, ...means, rate: sum.requests / step, ctr: sum.impressions ? sum.clicks / sum.impressions : null, cvr: sum.clicks ? sum.purchases / sum.clicks : null };
}

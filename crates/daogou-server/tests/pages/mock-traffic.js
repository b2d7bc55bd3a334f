// Visitors that nobody sees: numbers per second and per arm, and experiments that gather evidence as time passes.

import { luck, normal } from "./mock-luck.js";

const STEP = 5;
const BOUND = { clicks_per_request: 0.62, purchases_per_request: 0.067, revenue_per_request: 160 };

const next = luck(2024);

/** One point over some seconds; `lift` is what an arm gains over the others. */
function point(t, seconds, share, lift = 1) {
  const rate = (38 + 12 * Math.sin(t / 900)) * share;
  const requests = Math.max(0, Math.round(seconds * rate + Math.sqrt(seconds * rate) * normal(next)));
  const impressions = requests * 10;
  const clicks = Math.max(0, Math.round(impressions * 0.062 * lift * (1 + 0.1 * normal(next))));
  const purchases = Math.max(0, Math.round(clicks * 0.108 * (1 + 0.3 * normal(next))));
  const busy = next() < 0.01;
  return {
    t,
    requests,
    errors: next() < 0.004 ? 1 : 0,
    rejected: busy ? Math.round(4 * share) : 0,
    p50_ms: 3.4 + 0.2 * normal(next),
    p99_ms: (busy ? 19 : 9.2) + 0.9 * Math.abs(normal(next)),
    impressions,
    clicks,
    purchases,
    ctr: impressions ? clicks / impressions : null,
    cvr: clicks ? purchases / clicks : null,
    entropy: 1.94 + 0.02 * normal(next),
    novelty: 0.58 + 0.015 * normal(next),
  };
}

/** Series of the last hour and the traffic to come. */
export function openTraffic(experiments) {
  const totals = [];
  const presets = { balanced: [], fresh: [] };
  const arms = {};
  const record = (t, seconds) => {
    totals.push(point(t, seconds, 1));
    presets.balanced.push(point(t, seconds, 0.7));
    presets.fresh.push({ ...point(t, seconds, 0.3, 0.95), entropy: 2.12, novelty: 0.71 });
    const running = [...experiments.values()].find((own) => own.state === "running");
    for (const [i, arm] of (running?.arms ?? []).entries()) {
      const series = (arms[`${running.name}/${arm.name}`] ??= []);
      series.push(point(t, seconds, arm.share, 1 + 0.12 * i));
    }
  };
  const now = Math.floor(Date.now() / 1000 / STEP) * STEP;
  for (let t = now - 3600; t < now; t += STEP) record(t, STEP);
  const tail = (series, minutes) => series.slice(-Math.ceil((minutes * 60) / STEP));
  const all = (group, minutes) =>
    Object.fromEntries(Object.entries(group).map(([name, series]) => [name, tail(series, minutes)]));
  return {
    stats: (minutes) => ({
      step_s: STEP,
      start: tail(totals, minutes)[0]?.t ?? now,
      totals: tail(totals, minutes),
      arms: all(arms, minutes),
      presets: all(presets, minutes),
    }),
    advance: () => {
      const t = Math.floor(Date.now() / 1000 / STEP) * STEP;
      if (totals.at(-1).t < t) record(t, STEP);
    },
    /** The last second, as the stream tells it. */
    second: () => {
      const t = Math.floor(Date.now() / 1000);
      const running = [...experiments.values()].find((own) => own.state === "running");
      const own = {};
      for (const [i, arm] of (running?.arms ?? []).entries())
        own[`${running.name}/${arm.name}`] = point(t, 1, arm.share, 1 + 0.12 * i);
      return {
        step_s: 1,
        totals: point(t, 1, 1),
        arms: own,
        presets: { balanced: point(t, 1, 0.7), fresh: { ...point(t, 1, 0.3, 0.95), entropy: 2.12, novelty: 0.71 } },
      };
    },
  };
}

/** An experiment with what it has learned so far. */
export function resultsOf(experiment) {
  const end = experiment.stopped ?? Date.now() / 1000;
  const seconds = Math.max(1, end - experiment.started + (experiment.head ?? 0));
  const base = BOUND[experiment.metric];
  const noise = luck(5);
  const arms = experiment.arms.map((arm, i) => {
    const requests = Math.round(seconds * 40 * arm.share);
    const mean = base * (1 + (experiment.lift ?? 0.08) * i + 0.004 * normal(noise));
    const impressions = requests * 10;
    const clicks = Math.round(requests * 0.62 * (1 + 0.08 * i));
    const purchases = Math.round(clicks * 0.108);
    return {
      name: arm.name,
      share: arm.share,
      preset: arm.preset ?? null,
      users: Math.round(requests / 2.4),
      requests,
      impressions,
      clicks,
      purchases,
      revenue: purchases * 2400,
      ctr: impressions ? clicks / impressions : null,
      cvr: clicks ? purchases / clicks : null,
      mean,
      entropy: 1.94 + 0.1 * i,
      novelty: 0.58 + 0.05 * i,
    };
  });
  const [reference, ...others] = arms;
  const comparisons = others.map((arm) => {
    const difference = arm.mean - reference.mean;
    const half = 3.4 * base * Math.sqrt(1 / Math.max(2, arm.requests) + 1 / Math.max(2, reference.requests));
    const interval = [difference - half, difference + half];
    return {
      arm: arm.name,
      against: reference.name,
      difference,
      interval,
      relative: difference / reference.mean,
      verdict: interval[0] > 0 ? "better" : interval[1] < 0 ? "worse" : "no_difference_yet",
    };
  });
  return {
    name: experiment.name,
    state: experiment.state,
    started: experiment.started,
    stopped: experiment.stopped ?? null,
    metric: experiment.metric,
    alpha: experiment.alpha,
    arms,
    comparisons,
  };
}

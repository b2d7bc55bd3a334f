// Trained runs as the server would list them: metrics, learning curves, calibration, experts, trade-offs. With
// MOCK_RUN a real run's `history.jsonl`, and beside it `eval.json` and `pareto.json`, are served instead of made-up
// ones.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { luck, normal, seedOf } from "./mock-luck.js";

const TASKS = [
  ["click", "binary"],
  ["purchase", "binary"],
  ["diversity", "distribution"],
  ["novelty", "share"],
];
const AXES = ["click", "purchase", "revenue", "diversity", "kl", "novelty", "entropy", "exposure"];

function binary(auc, next, n, rate) {
  const reliability = Array.from({ length: 15 }, (_, i) => {
    const predicted = rate * Math.exp((i - 7) / 4);
    return { n: Math.round(n / 15), predicted, observed: Math.max(0, predicted * (1 + 0.12 * normal(next))) };
  });
  const logloss = -(rate * Math.log(rate) + (1 - rate) * Math.log(1 - rate)) * (1.16 - 0.33 * auc);
  return {
    auc,
    gauc: auc - 0.011,
    pr_auc: rate * 2.4,
    logloss,
    ne: 1.16 - 0.33 * auc,
    pcoc: 1 + 0.02 * normal(next),
    ece: 0.003 + 0.002 * next(),
    brier: rate * 0.93,
    n,
    positives: Math.round(n * rate),
    reliability,
    intervals: { auc: [auc - 0.012, auc + 0.012], logloss: [logloss * 0.97, logloss * 1.03] },
  };
}

function evaluationOf(name, quality) {
  const next = luck(seedOf(name));
  const ce = 2.06 - 0.2 * quality;
  return {
    tasks: {
      click: binary(0.66 + 0.04 * quality, next, 40_000, 0.05),
      purchase: binary(0.59 + 0.05 * quality, next, 2_012, 0.066),
      purchase_ctcvr: binary(0.71 + 0.04 * quality, next, 40_000, 0.0033),
      diversity: {
        ce,
        ce_normalised: ce / 2.19,
        kl: ce - 0.89,
        js: 0.27,
        top1: 0.5 + 0.05 * quality,
        n: 777,
        intervals: { ce: [ce - 0.1, ce + 0.1] },
      },
      novelty: {
        mse: 0.07 - 0.01 * quality,
        mae: 0.21,
        r2: 0.15 + 0.1 * quality,
        spearman: 0.44 + 0.03 * quality,
        n: 777,
        intervals: {},
      },
    },
    lists: {},
    baselines: {},
    notes: [],
  };
}

function historyOf(name, quality) {
  const next = luck(seedOf(`history ${name}`));
  const rounds = 5;
  const curve = (start, end, late) =>
    Array.from(
      { length: rounds },
      (_, i) => end + (start - end) * Math.exp(-i * 0.9) + late * Math.max(0, i - 2) ** 2 + 0.002 * normal(next),
    );
  const [click, purchase, diversity, novelty] = [
    curve(0.965, 0.942 - 0.01 * quality, 0.004),
    curve(1.05, 1.02, 0.012),
    curve(0.94, 0.9, 0.006),
    curve(0.83, 0.7, 0.002),
  ];
  const train = [curve(0.96, 0.88, 0), curve(0.97, 0.8, 0), curve(0.94, 0.85, 0), curve(0.7, 0.26, 0)];
  const rows = Array.from({ length: rounds }, (_, i) => {
    const loss = [click[i], purchase[i], diversity[i], novelty[i]];
    return {
      epoch: i + 1,
      step: 311 * (i + 1),
      impressions: 320_000,
      train_loss: train.map((own) => own[i]),
      valid: loss.map((own, task) => ({ loss: own, auc: task < 2 ? 1.63 - own : null })),
      valid_loss: loss.reduce((a, b) => a + b, 0) / 3,
      best: false,
    };
  });
  let best = Infinity;
  for (const row of rows) {
    row.best = row.valid_loss < best;
    best = Math.min(best, row.valid_loss);
  }
  return rows;
}

/** A sweep over weights, shaped as `daogou pareto --format json`. */
function sweepOf() {
  const next = luck(11);
  const points = [];
  const point = (heads, builder, weights, explore, shift) => {
    const d = weights.diversity / (weights.diversity + 0.5);
    const n = weights.novelty / (weights.novelty + 0.6);
    const match = Math.min(0.95, 0.1 + 0.42 * d + 0.36 * explore + 0.01 * normal(next)) - shift;
    const fresh = Math.min(0.98, 0.5 + 0.2 * n + 0.22 * explore + 0.012 * normal(next)) - shift;
    const click =
      0.69 + 0.05 * d * (1 - d) - 0.08 * d * d - 0.03 * n - 0.2 * explore ** 1.5 + 0.004 * normal(next) - 0.4 * shift;
    const revenue = 160 * (click / 0.69) * (1 + 0.25 * (weights.purchase / (weights.purchase + 5) - 0.37));
    const values = {
      click,
      purchase: click * 0.108,
      revenue,
      diversity: match,
      kl: -Math.log(match),
      novelty: fresh,
      entropy: 1 + 1.3 * match,
      exposure: 0.06 - 0.03 * d,
    };
    const spread = {
      click: 0.026,
      purchase: 0.007,
      revenue: 21,
      diversity: 0.008,
      kl: 0.05,
      novelty: 0.035,
      entropy: 0.05,
    };
    points.push({
      heads,
      builder,
      weights,
      explore,
      values: Object.fromEntries(
        AXES.map((axis) => [
          axis,
          axis in spread
            ? { mean: values[axis], interval: [values[axis] - spread[axis], values[axis] + spread[axis]] }
            : { mean: values[axis] },
        ]),
      ),
    });
  };
  for (const purchase of [1, 3, 12])
    for (const explore of [0, 0.3, 0.6, 1])
      for (const diversity of [0, 0.1, 0.2, 0.5, 2])
        for (const novelty of [0, 0.1, 0.5, 3])
          point("trained", "auto", { click: 1, purchase, revenue: 0, diversity, novelty }, explore, 0);
  const own = points.length;
  for (const heads of ["history", "constant", "true_mix", "oracle"])
    for (const diversity of [0, 0.2, 0.5, 2])
      point(
        heads,
        "auto",
        { click: 1, purchase: 3, revenue: 0, diversity, novelty: 0.1 },
        0,
        heads === "oracle" ? -0.1 : 0.01,
      );
  for (const builder of ["top_k", "mmr", "dpp", "xquad"])
    for (const dial of [0.3, 0.5, 0.7]) {
      point("trained", builder, { click: 1, purchase: 3, revenue: 0, diversity: 0, novelty: 0 }, 0, 0.02);
      if (builder !== "top_k") points.at(-1).dial = dial;
    }
  const axes = ["click", "diversity", "novelty"];
  const beats = (a, b) =>
    axes.every((axis) => a.values[axis].mean >= b.values[axis].mean) &&
    axes.some((axis) => a.values[axis].mean > b.values[axis].mean);
  const front = [];
  for (let i = 0; i < own; i += 1) if (!points.slice(0, own).some((other) => beats(other, points[i]))) front.push(i);
  return {
    judge: "truth",
    requests: 300,
    k: 10,
    axes,
    points,
    front,
    knee: front[Math.floor(front.length / 2)],
    rivals: [],
    heads: {},
  };
}

const config = (kind) => ({
  data: { impressions: ["shop/impressions.parquet"] },
  task: TASKS.map(([name, kind]) => ({ name, kind })),
  model: { kind, experts: 4, embedding_dim: 16, shared_units: [128, 64] },
  train: { seed: 1, epochs: 5 },
});

/** Use of experts: per gate the mean share of each. */
const expertsOf = () => [
  { gate: "click", shares: [0.41, 0.27, 0.22, 0.1] },
  { gate: "purchase", shares: [0.18, 0.52, 0.29, 0.01] },
  { gate: "diversity", shares: [0.25, 0.24, 0.26, 0.25] },
];

/** Runs that the server knows when it starts. */
export function openRuns() {
  const models = new Map();
  const made = 1_795_600_000;
  const put = (name, state, kind, quality, extra = {}) =>
    models.set(name, {
      name,
      state,
      kind,
      created: made - 86_400 * models.size,
      quality,
      history: historyOf(name, quality),
      evaluation: evaluationOf(name, quality),
      config: config(kind),
      experts: kind === "mmoe" ? expertsOf() : null,
      tradeOffs: null,
      ...extra,
    });
  put("2026-11-25T081500", "serving", "mmoe", 1, { tradeOffs: sweepOf() });
  put("2026-11-24T081500", "loaded", "shared_bottom", 0.6);
  put("2026-11-23T081500", "available", "ple", 0.3, { evaluation: null });
  models.set("2026-11-20T081500", {
    name: "2026-11-20T081500",
    state: "damaged",
    kind: "shared_bottom",
    created: made - 432_000,
    problem: "model.safetensors: expected checksum e372f9ed…, got 00c1b2aa…",
  });
  const real = process.env.MOCK_RUN;
  if (real) {
    const own = models.get("2026-11-25T081500");
    const read = (file) => readFileSync(join(real, file), "utf8");
    own.history = read("history.jsonl")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    if (existsSync(join(real, "../eval.json"))) own.evaluation = JSON.parse(read("../eval.json"));
    if (existsSync(join(real, "../pareto.json"))) own.tradeOffs = JSON.parse(read("../pareto.json"));
  }
  return { models, serving: "2026-11-25T081500", previous: "2026-11-24T081500" };
}

/** A run that training has just made. */
export function trained(name, quality) {
  return {
    name,
    state: "available",
    kind: "mmoe",
    created: Math.floor(Date.now() / 1000),
    quality,
    history: historyOf(name, quality),
    evaluation: evaluationOf(name, quality),
    config: config("mmoe"),
    experts: expertsOf(),
    tradeOffs: null,
  };
}

/** The computed front of a run. */
export const computed = sweepOf;

/** Metrics for the list of models. */
export function metricsOf(evaluation) {
  const tasks = Object.entries(evaluation?.tasks ?? {});
  return Object.fromEntries(
    tasks.map(([name, own]) => [
      name,
      Object.fromEntries(Object.entries(own).filter(([, value]) => typeof value === "number")),
    ]),
  );
}

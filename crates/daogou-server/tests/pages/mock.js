// A server that answers as daogou-server does, with made-up data that is the same every time: for working on the pages,
// and for their tests. It keeps what it is told until it ends. Under /mock it can be made to fail on purpose.
//
//     node mock.js            PORT (default 8790), MOCK_RUN (a real run to show)

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { openapi } from "./mock-openapi.js";
import { computed, metricsOf, openRuns, trained } from "./mock-runs.js";
import { CATEGORIES, OBJECTIVES, filterOf, openShop, recentOf, recommend } from "./mock-shop.js";
import { openTraffic, resultsOf } from "./mock-traffic.js";

const PAGES = join(dirname(fileURLToPath(import.meta.url)), "../../pages");
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};
const KEYS = { "read-key": "read", "write-key": "write", "admin-key": "admin" };
const RANK = { read: 0, write: 1, admin: 2 };
const METRICS = ["clicks_per_request", "purchases_per_request", "revenue_per_request"];

class Problem extends Error {
  constructor(status, detail, { key, hint } = {}) {
    super(detail);
    Object.assign(this, { status, key, hint });
  }
}

/** Starts it; gives `{ url, close }`. */
export async function start(port = 0) {
  const state = open();
  const server = createServer((request, response) => handle(state, request, response));
  const ticking = setInterval(() => tick(state), 1000);
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  const close = async () => {
    clearInterval(ticking);
    clearInterval(state.training);
    for (const stream of state.streams) stream.end();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

function open() {
  const experiments = new Map();
  const now = Math.floor(Date.now() / 1000);
  experiments.set("winter", {
    name: "winter",
    state: "stopped",
    started: now - 864_000,
    stopped: now - 500_000,
    metric: "clicks_per_request",
    alpha: 0.05,
    lift: -0.05,
    arms: [
      { name: "A", share: 0.5, preset: "balanced" },
      { name: "B", share: 0.5, preset: "fresh" },
    ],
  });
  experiments.set("spring", {
    name: "spring",
    state: "running",
    started: now - 3 * 3600,
    metric: "clicks_per_request",
    alpha: 0.05,
    lift: 0.03,
    arms: [
      { name: "A", share: 0.5, preset: "balanced" },
      { name: "B", share: 0.3, preset: "fresh" },
      { name: "C", share: 0.2, objectives: { click: 1, purchase: 12 } },
    ],
  });
  const presets = new Map([
    ["balanced", { name: "balanced", objectives: OBJECTIVES, explore: 0, source: "configuration" }],
    [
      "fresh",
      {
        name: "fresh",
        objectives: { click: 1, purchase: 3, revenue: 0, diversity: 0.5, novelty: 1.5 },
        explore: 0.2,
        source: "run",
      },
    ],
  ]);
  return {
    shop: openShop(),
    runs: openRuns(),
    presets,
    experiments,
    traffic: openTraffic(experiments),
    job: null,
    training: null,
    streams: new Set(),
    auth: false,
    failures: [],
    requests: 0,
  };
}

function tick(state) {
  state.traffic.advance();
  tell(state, "stats", state.traffic.second());
}

function tell(state, event, data) {
  for (const stream of state.streams) stream.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}

async function handle(state, request, response) {
  const url = new URL(request.url, "http://mock");
  try {
    if (request.method === "GET" && (await page(url.pathname, response))) return;
    const text = await body(request);
    if (url.pathname.startsWith("/mock/"))
      return json(response, 200, control(state, url.pathname.slice(6), text ? JSON.parse(text) : {}));
    const failure = state.failures.find((own) => url.pathname.startsWith(own.path) && own.times > 0);
    if (failure) {
      failure.times -= 1;
      if (failure.status === 0) return request.socket.destroy();
      if (failure.retry_after) response.setHeader("Retry-After", failure.retry_after);
      throw new Problem(failure.status, failure.detail ?? "the store is slow: 412 events wait for a commit");
    }
    if (url.pathname === "/openapi.json") return json(response, 200, openapi);
    const role = roleOf(state, request);
    if (url.pathname === "/v1/stream") return stream(state, response);
    let sent;
    try {
      sent = text ? JSON.parse(text) : undefined;
    } catch (error) {
      throw new Problem(400, `expected JSON, got: ${error.message}`);
    }
    const segments = url.pathname.split("/").slice(1).map(decodeURIComponent);
    const [status, answer] = route(state, request.method, segments, url.searchParams, sent, (least) => {
      if (RANK[role] < RANK[least]) throw new Problem(403, `expected the role ${least}, got ${role}`);
    });
    json(response, status, answer);
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    const status = error.status ?? 500;
    json(
      response,
      status,
      {
        title: `status ${status}`,
        status,
        detail: error.message,
        ...(error.key ? { key: error.key } : {}),
        ...(error.hint ? { hint: error.hint } : {}),
      },
      "application/problem+json",
    );
  }
}

async function page(path, response) {
  const name =
    path === "/" ? "index.html" : path === "/docs" ? "docs.html" : path.startsWith("/assets/") ? path.slice(8) : null;
  if (!name) return false;
  const file = normalize(join(PAGES, name));
  if (!file.startsWith(PAGES)) return false;
  try {
    const content = await readFile(file);
    response.writeHead(200, {
      "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
      "Content-Security-Policy": POLICY,
      "X-Content-Type-Options": "nosniff",
      "Cache-Control": "no-cache",
    });
    response.end(content);
    return true;
  } catch {
    return false;
  }
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}

function json(response, status, value, type = "application/json") {
  if (response.headersSent) return;
  response.writeHead(status, { "Content-Type": type, "Cache-Control": "no-store" });
  response.end(JSON.stringify(value));
}

function roleOf(state, request) {
  if (!state.auth) return "admin";
  const key = request.headers["x-api-key"] ?? request.headers.authorization?.replace(/^Bearer /, "");
  const role = KEYS[key];
  if (!role)
    throw new Problem(401, key ? "expected a known API key, got another" : "expected an API key, got none", {
      hint: "send `X-API-Key`",
    });
  return role;
}

function stream(state, response) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write(": here\n\n");
  state.streams.add(response);
  response.on("close", () => state.streams.delete(response));
}

/** What tests may ask of the mock itself. */
function control(state, what, sent) {
  if (what === "auth") state.auth = sent.on;
  else if (what === "fail") state.failures.push(sent);
  else if (what === "heal") state.failures.length = 0;
  else if (what === "drop") for (const own of state.streams) own.destroy();
  else if (what === "reset") {
    clearInterval(state.training);
    const { streams } = state;
    Object.assign(state, open(), { streams });
  } else throw new Problem(404, `no such control: ${what}`);
  return {};
}

function route(state, method, path, query, sent, needs) {
  const [version, what, id, act] = path;
  if (version !== "v1") throw new Problem(404, `no such route: /${path.join("/")}`);
  const key = `${method} ${[what, id === undefined ? null : "*", act].filter((x) => x !== null && x !== undefined).join("/")}`;
  const run = ROUTES[key] ?? ROUTES[`${method} ${what}/${id}`];
  if (!run) throw new Problem(404, `no such route: ${method} /${path.join("/")}`);
  const result = run({ state, id, query, sent, needs });
  return Array.isArray(result) && typeof result[0] === "number" ? result : [200, result];
}

const within = (value, low, high, what) => {
  if (typeof value !== "number" || !(value >= low && value <= high))
    throw new Problem(422, `expected a number from ${low} to ${high}, got ${JSON.stringify(value)}`, { key: what });
};

function list({ state, sent }) {
  if (!sent?.user) throw new Problem(422, "expected the id of a user, got nothing", { key: "user" });
  if (sent.objectives && sent.preset)
    throw new Problem(422, "expected one of objectives and preset, got both", { key: "preset" });
  within(sent.k ?? 10, 1, 100, "k");
  within(sent.explore ?? 0, 0, 1, "explore");
  for (const [name, weight] of Object.entries(sent.objectives ?? {})) {
    if (!(name in OBJECTIVES))
      throw new Problem(422, `expected one of ${Object.keys(OBJECTIVES).join(", ")}, got \`${name}\``, {
        key: `objectives.${name}`,
      });
    within(weight, 0, 1e6, `objectives.${name}`);
  }
  try {
    if (sent.filter) filterOf(sent.filter);
  } catch (error) {
    throw new Problem(422, error.message, { key: "filter", hint: 'for example `category = "case" and price <= 300`' });
  }
  const preset = sent.preset ? state.presets.get(sent.preset) : null;
  if (sent.preset && !preset)
    throw new Problem(422, `expected a known preset, got \`${sent.preset}\``, { key: "preset" });
  const wish = {
    ...sent,
    objectives: sent.objectives ?? preset?.objectives ?? OBJECTIVES,
    explore: sent.explore ?? preset?.explore ?? 0,
  };
  const list = recommend(state.shop, wish);
  if (sent.filter && list.items.length === 0)
    throw new Problem(422, "no item that may be shown passes it", { key: "filter" });
  state.requests += 1;
  return {
    ...list,
    model: state.runs.serving,
    preset: sent.preset ?? null,
    experiment: null,
    request: `mock-${state.requests}`,
    timings: { queue_us: 12, score_us: 2100, list_us: 840, total_us: 3050 },
  };
}

function modelsOf({ runs }) {
  const models = [...runs.models.values()].map((own) => ({
    name: own.name,
    state: own.state,
    kind: own.kind,
    created: own.created,
    program_version: "0.1.0",
    metrics: metricsOf(own.evaluation),
    ...(own.problem ? { problem: own.problem } : {}),
  }));
  return { serving: runs.serving, previous: runs.previous, models };
}

function model(state, name) {
  const own = state.runs.models.get(name);
  if (!own) throw new Problem(404, `expected a known model, got \`${name}\``);
  return own;
}

function serve(state, name) {
  const own = model(state, name);
  if (own.state === "damaged") throw new Problem(422, own.problem);
  if (state.runs.serving !== name) {
    state.runs.models.get(state.runs.serving).state = "loaded";
    state.runs.previous = state.runs.serving;
    state.runs.serving = name;
    own.state = "serving";
  }
  tell(state, "models", modelsOf(state));
  return modelsOf(state);
}

/** Background work: some seconds of pretending, told step by step. */
function work(state, kind, finish, name) {
  if (state.job?.state === "running")
    throw new Problem(409, "expected no work in progress, got one that runs", { hint: "cancel it first" });
  const phases =
    kind === "train"
      ? ["reading", "training", "training", "training", "training", "evaluating"]
      : ["evaluating", "evaluating", "evaluating"];
  const run = kind === "train" ? trained(name, 1.15) : null;
  state.job = {
    id: `job-${Date.now()}`,
    kind,
    state: "running",
    phase: phases[0],
    progress: 0,
    rounds: [],
    detail: "",
    started: Math.floor(Date.now() / 1000),
    finished: null,
    result: null,
  };
  let n = 0;
  tell(state, "job", state.job);
  state.training = setInterval(() => {
    n += 1;
    const { job } = state;
    if (job.state !== "running") return clearInterval(state.training);
    job.progress = Math.min(1, n / (3 * phases.length));
    job.phase = phases[Math.min(phases.length - 1, Math.floor(n / 3))];
    if (run) job.rounds = run.history.slice(0, Math.max(0, Math.floor((n - 3) / 3)));
    if (n >= 3 * phases.length) {
      clearInterval(state.training);
      job.state = "done";
      job.finished = Math.floor(Date.now() / 1000);
      job.result = finish(run);
    }
    tell(state, "job", job);
  }, 180);
  return [202, { job: state.job }];
}

const pageOf = (all, query) => {
  const offset = Number(query.get("offset") ?? 0);
  return all.slice(offset, offset + Number(query.get("limit") ?? 50));
};

function items({ state, query }) {
  const text = (query.get("query") ?? "").toLowerCase();
  const category = query.get("category");
  const all = [...state.shop.items.values()].filter(
    (item) =>
      (!category || item.attributes.category === category) &&
      (!text ||
        item.id.toLowerCase().includes(text) ||
        String(item.attributes.title ?? "")
          .toLowerCase()
          .includes(text)),
  );
  return {
    total: all.length,
    items: pageOf(all, query).map(({ id, available, source, attributes }) => ({
      id,
      title: attributes.title,
      category: attributes.category,
      price: attributes.price,
      available,
      source,
    })),
  };
}

const item = (state, id) => {
  const own = state.shop.items.get(id);
  if (!own) throw new Problem(404, `expected a known item, got \`${id}\``);
  return own;
};

function checkAttributes(attributes) {
  if (attributes && "price" in attributes && attributes.price !== null && typeof attributes.price !== "number")
    throw new Problem(422, `expected a number, got ${JSON.stringify(attributes.price)}`, { key: "attributes.price" });
}

const merged = (old, changes) =>
  Object.fromEntries(Object.entries({ ...old, ...changes }).filter(([, value]) => value !== null));

const user = (state, id) => {
  const own = state.shop.users.get(id);
  if (!own) throw new Problem(404, `expected a known user, got \`${id}\``);
  return own;
};

const experiment = (state, id) => {
  const own = state.experiments.get(id);
  if (!own) throw new Problem(404, `expected a known experiment, got \`${id}\``);
  return own;
};

const changed = (state, event, answer = {}) => {
  tell(state, event, {});
  return answer;
};

const ROUTES = {
  "GET me": ({ state, needs }) => ({
    role: ["admin", "write", "read"].find((role) => {
      try {
        needs(role);
        return true;
      } catch {
        return false;
      }
    }),
    auth: state.auth,
    version: "0.1.0",
  }),
  "POST recommend": list,
  "GET objectives": () => ({
    objectives: Object.entries(OBJECTIVES).map(([name, weight]) => ({ name, weight, available: true })),
    k: 8,
    explore: 0,
    builders: ["auto", "greedy", "greedy_swap", "top_k", "mmr", "dpp"],
    context: [
      { name: "hour", values: Array.from({ length: 24 }, (_, i) => String(i)) },
      { name: "channel", values: null },
    ],
    categories: CATEGORIES,
  }),
  "GET presets": ({ state }) => ({ presets: [...state.presets.values()] }),
  "PUT presets/*": ({ state, id, sent, needs }) => {
    needs("write");
    if (!/^[\w.-]+$/.test(id))
      throw new Problem(422, `expected a name of letters, digits, \`-\`, \`_\` and \`.\`, got \`${id}\``, {
        key: "name",
      });
    state.presets.set(id, { name: id, objectives: sent.objectives, explore: sent.explore ?? 0, source: "store" });
    return changed(state, "presets", state.presets.get(id));
  },
  "DELETE presets/*": ({ state, id, needs }) => {
    needs("write");
    if (!state.presets.delete(id)) throw new Problem(404, `expected a known preset, got \`${id}\``);
    return changed(state, "presets");
  },
  "GET models": ({ state }) => modelsOf(state),
  "GET models/*": ({ state, id }) => {
    const own = model(state, id);
    return {
      name: own.name,
      state: own.state,
      config: own.config ?? {},
      manifest: {
        created_at: new Date(own.created * 1000).toISOString(),
        seed: 1,
        data_fingerprint: "67645f890ffee8b0",
        program_version: "0.1.0",
      },
      tasks: (own.config?.task ?? []).map((task) => task.name),
      history: own.history ?? [],
      evaluation: own.evaluation ?? null,
      experts: own.experts ?? null,
    };
  },
  "POST models/*/load": ({ state, id, needs }) => {
    needs("admin");
    const own = model(state, id);
    if (own.state === "damaged") throw new Problem(422, own.problem);
    if (own.state === "available") own.state = "loaded";
    return changed(state, "models", modelsOf(state));
  },
  "POST models/*/promote": ({ state, id, needs }) => (needs("admin"), serve(state, id)),
  "POST models/rollback": ({ state, needs }) => {
    needs("admin");
    if (!state.runs.previous) throw new Problem(409, "expected a previous model, got none");
    return serve(state, state.runs.previous);
  },
  "GET models/*/trade-offs": ({ state, id }) => {
    const own = model(state, id);
    if (!own.tradeOffs)
      throw new Problem(404, `\`${id}\` has no trade-offs`, { hint: "POST the same path to compute them" });
    return own.tradeOffs;
  },
  "POST models/*/trade-offs": ({ state, id, needs }) => {
    needs("admin");
    const own = model(state, id);
    return work(state, "trade-offs", () => {
      own.tradeOffs = computed();
      return null;
    });
  },
  "GET train": ({ state }) => ({ job: state.job }),
  "POST train": ({ state, sent, needs }) => {
    needs("admin");
    const name = sent?.name || `trained-${state.runs.models.size}`;
    if (state.runs.models.has(name))
      throw new Problem(409, `expected a new name, got \`${name}\`, which exists`, { key: "name" });
    return work(
      state,
      "train",
      (run) => {
        const champion = metricsOf(state.runs.models.get(state.runs.serving).evaluation);
        state.runs.models.set(name, run);
        const promoted = sent?.promote !== "never";
        if (promoted) serve(state, name);
        else tell(state, "models", modelsOf(state));
        return {
          champion,
          challenger: metricsOf(run.evaluation),
          promoted,
          why: promoted ? "not worse on any task: click logloss 0.1871 against 0.1884" : "asked never to promote",
        };
      },
      name,
    );
  },
  "DELETE train": ({ state, needs }) => {
    needs("admin");
    if (state.job?.state !== "running") throw new Problem(409, "expected work in progress, got none");
    Object.assign(state.job, { state: "cancelled", finished: Math.floor(Date.now() / 1000), detail: "cancelled" });
    tell(state, "job", state.job);
    return { job: state.job };
  },
  "GET stats": ({ state, query }) => state.traffic.stats(Number(query.get("minutes") ?? 60)),
  "GET experiments": ({ state }) => ({ experiments: [...state.experiments.values()].map(resultsOf) }),
  "GET experiments/*": ({ state, id }) => resultsOf(experiment(state, id)),
  "PUT experiments/*": ({ state, id, sent, needs }) => {
    needs("admin");
    const running = [...state.experiments.values()].find((own) => own.state === "running");
    if (running)
      throw new Problem(409, `expected no experiment in progress, got \`${running.name}\``, { hint: "stop it first" });
    if (state.experiments.has(id))
      throw new Problem(409, `expected a new name, got \`${id}\`, which exists`, { key: "name" });
    if (!METRICS.includes(sent.metric))
      throw new Problem(422, `expected one of ${METRICS.join(", ")}`, { key: "metric" });
    if (!Array.isArray(sent.arms) || sent.arms.length < 2)
      throw new Problem(422, "expected at least 2 arms", { key: "arms" });
    const sum = sent.arms.reduce((total, arm) => total + arm.share, 0);
    if (!(sum <= 1 + 1e-9))
      throw new Problem(422, `expected shares that sum to at most 1, got ${sum}`, { key: "arms" });
    state.experiments.set(id, {
      name: id,
      state: "running",
      started: Math.floor(Date.now() / 1000),
      metric: sent.metric,
      alpha: sent.alpha,
      arms: sent.arms,
    });
    return changed(state, "experiments", resultsOf(state.experiments.get(id)));
  },
  "POST experiments/*/stop": ({ state, id, needs }) => {
    needs("admin");
    Object.assign(experiment(state, id), { state: "stopped", stopped: Math.floor(Date.now() / 1000) });
    return changed(state, "experiments", resultsOf(experiment(state, id)));
  },
  "DELETE experiments/*": ({ state, id, needs }) => {
    needs("admin");
    experiment(state, id);
    state.experiments.delete(id);
    return changed(state, "experiments");
  },
  "GET items": items,
  "GET items/*": ({ state, id }) => {
    const { available, attributes, source } = item(state, id);
    return { id, available, attributes, source, known: source === "model" };
  },
  "PUT items/*": ({ state, id, sent, needs }) => {
    needs("write");
    checkAttributes(sent.attributes);
    state.shop.items.set(id, {
      id,
      available: sent.available ?? true,
      attributes: sent.attributes ?? {},
      source: "store",
    });
    return changed(state, "items", { ...state.shop.items.get(id) });
  },
  "PATCH items/*": ({ state, id, sent, needs }) => {
    needs("write");
    const own = item(state, id);
    checkAttributes(sent.attributes);
    if ("available" in sent) own.available = sent.available;
    if (sent.attributes) own.attributes = merged(own.attributes, sent.attributes);
    return changed(state, "items", own);
  },
  "DELETE items/*": ({ state, id, needs }) => {
    needs("write");
    item(state, id).available = false;
    return changed(state, "items", item(state, id));
  },
  "GET users": ({ state, query }) => {
    const text = (query.get("query") ?? "").toLowerCase();
    const all = [...state.shop.users.values()].filter((own) => own.id.toLowerCase().includes(text));
    return { total: all.length, users: pageOf(all, query).map(({ id, source }) => ({ id, source })) };
  },
  "GET users/*": ({ state, id }) => {
    const recent = recentOf(state.shop, user(state, id).id);
    return { ...user(state, id), known: true, recent, seen: recent.length * 7 };
  },
  "PUT users/*": ({ state, id, sent, needs }) => {
    needs("write");
    state.shop.users.set(id, { id, attributes: sent.attributes ?? {}, source: "store" });
    return state.shop.users.get(id);
  },
  "PATCH users/*": ({ state, id, sent, needs }) => {
    needs("write");
    const own = user(state, id);
    own.attributes = merged(own.attributes, sent.attributes ?? {});
    return own;
  },
  "DELETE users/*": ({ state, id, needs }) => {
    needs("write");
    user(state, id);
    state.shop.users.delete(id);
    return {};
  },
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await start(Number(process.env.PORT ?? 8790));
  console.log(url);
}

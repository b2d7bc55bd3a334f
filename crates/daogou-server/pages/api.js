// Asking the server. What it refuses becomes a `Refused` with the sentence it gave; what may pass is tried again.

import { askForKey } from "./key.js";
import { sentence, t } from "./language.js";
import { backoff, isOver, pause, waitsFor } from "./trouble.js";

/** An answer that is a refusal: an `application/problem+json`. */
export class Refused extends Error {
  constructor(status, problem, retryAfter = null) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.status = status;
    this.key = problem.key ?? null;
    this.hint = problem.hint ?? null;
    this.retryAfter = retryAfter;
  }
}

/** No answer at all. */
export class Unreachable extends Error {}

/** Whether an error only says that the page no longer wants the answer. */
export const isAbort = (error) => error?.name === "AbortError";

let key = null;
try {
  key = sessionStorage.getItem("daogou-key");
} catch {
  // Storage is refused: the key is kept for this page only.
}

/** Headers that say who asks. */
export const credentials = () => (key ? { "X-API-Key": key } : {});

/** Forgets the key. */
export function forgetKey() {
  keep(null);
}

const hopeful = new Set();

/** Resolves once another key is given. */
export const anotherKey = () => new Promise((resolve) => hopeful.add(resolve));

function keep(value) {
  key = value;
  for (const resolve of hopeful) resolve();
  hopeful.clear();
  try {
    if (value) sessionStorage.setItem("daogou-key", value);
    else sessionStorage.removeItem("daogou-key");
  } catch {
    // For this page only.
  }
}

let asking = null;

/**
 * Asks the person for a key; one question at a time. False where there is none to be had. `used` is the one
 * refused.
 */
export async function obtainKey(used) {
  if (used !== key && key) return true; // Somebody gave another one meanwhile.
  asking ??= askForKey(Boolean(used)).finally(() => {
    asking = null;
  });
  const given = await asking;
  if (given) keep(given);
  return Boolean(given);
}

export const currentKey = () => key;

/**
 * One question. `again`: whether to try again as long as the server is busy or away, which is safe for what changes
 * nothing, and is the default for GET.
 */
export async function ask(method, path, { body, signal, again = method === "GET" } = {}) {
  const what = Symbol(path);
  try {
    for (let tries = 1; ; tries += 1) {
      const used = key;
      try {
        const answer = await once(method, path, body, signal);
        isOver(what);
        return answer;
      } catch (error) {
        if (isAbort(error)) throw error;
        if (error.status === 401) {
          isOver(what);
          if (await obtainKey(used)) continue;
          throw error;
        }
        const kind = passing(error);
        if (!again || !kind) throw error;
        const wait = error.retryAfter ? error.retryAfter * 1000 : backoff(tries);
        waitsFor(what, { kind, detail: error instanceof Refused ? error.message : "", until: Date.now() + wait });
        await pause(wait, signal);
      }
    }
  } finally {
    isOver(what);
  }
}

/** The kind of trouble that may pass by itself. */
export function passing(error) {
  if (error instanceof Unreachable) return "offline";
  if (error.status === 429) return "busy";
  return error.status === 503 || error.status === 408 ? "unavailable" : null;
}

async function once(method, path, body, signal) {
  const headers = { Accept: "application/json", ...credentials() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Unreachable(t("error.offline"));
  }
  if (!response.ok) throw await refusal(response);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** What a response that is not fine says. */
export async function refusal(response) {
  const retryAfter = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // A proxy's page, say: the status has to do.
  }
  return new Refused(response.status, problem, Number.isFinite(retryAfter) ? retryAfter : null);
}

/** An error in the words of the page, with the server's own sentence. */
export function inWords(error) {
  if (!(error instanceof Refused)) return error.message;
  const own = {
    401: "error.key",
    403: "error.role",
    404: "error.missing",
    409: "error.conflict",
    413: "error.large",
    429: "error.busy",
    503: "error.unavailable",
  };
  const said = error.key ? `${error.key}: ${error.message}` : error.message;
  const parts = [error.status in own ? t(own[error.status]) : null, said, error.hint];
  return parts.filter(Boolean).map(sentence).join(" ");
}

// Events of the server as they happen (`/v1/stream`), read through `fetch`, because an `EventSource` cannot send the
// key. One connection serves the whole page; when it breaks it is made again, later and later.

import { anotherKey, credentials, currentKey, isAbort, obtainKey, passing, refusal, Unreachable } from "./api.js";
import { backoff, isOver, pause, waitsFor } from "./trouble.js";

const listeners = new Map();
let stateListener = null;
const WHAT = Symbol("stream");
let state = "connecting";

/** Calls back with the data of each event of a kind, until `signal` aborts. */
export function onEvent(kind, signal, listener) {
  const own = listeners.get(kind) ?? new Set();
  listeners.set(kind, own.add(listener));
  signal.addEventListener("abort", () => own.delete(listener));
}

/** Calls back with `connecting`, `open` or `broken`, now and on each change; there is one place that shows it. */
export function onState(place) {
  stateListener = place;
  place(state);
}

function become(next) {
  if (next === state) return;
  state = next;
  stateListener?.(state);
}

/** Holds the connection for as long as the page is open. */
export async function listen() {
  for (let tries = 1; ; tries += 1) {
    const used = currentKey();
    let wait = 0;
    try {
      await read(() => {
        tries = 0;
        become("open");
        isOver(WHAT);
      });
    } catch (error) {
      if (error.status === 401) {
        become("broken");
        // Without a key there is nothing to listen to, and asking again and again would be a nuisance.
        if (!(await obtainKey(used))) await anotherKey();
        continue;
      }
      wait = (error.retryAfter ?? 0) * 1000;
      const kind = passing(error);
      if (kind) waitsFor(WHAT, { kind, detail: "", until: Date.now() + Math.max(wait, backoff(tries || 1)) });
    }
    become("broken");
    await pause(Math.max(wait, backoff(tries || 1)));
    become("connecting");
  }
}

async function read(opened) {
  let response;
  try {
    response = await fetch("/v1/stream", { headers: { Accept: "text/event-stream", ...credentials() } });
  } catch {
    throw new Unreachable("");
  }
  if (!response.ok) throw await refusal(response);
  opened();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += value.replaceAll("\r", "");
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) dispatch(block);
    }
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new Unreachable("");
  }
}

/** One event: lines `event: …`, `data: …`; a line that starts with a colon keeps the connection alive. */
function dispatch(block) {
  let kind = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  if (data.length === 0) return;
  const value = JSON.parse(data.join("\n"));
  for (const listener of [...(listeners.get(kind) ?? [])]) listener(value);
}

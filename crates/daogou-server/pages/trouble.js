// What keeps the page from an answer at the moment: said in words at the top until it is over.

const waiting = new Map();
let listener = null;

/** Notes that something waits: `{ kind: "offline" | "busy" | "unavailable", detail, until }`, times in milliseconds. */
export function waitsFor(what, trouble) {
  waiting.set(what, trouble);
  tell();
}

/** Notes that it waits no longer. */
export function isOver(what) {
  if (waiting.delete(what)) tell();
}

/** Calls back with the trouble of the moment, or `null`, now and on each change; there is one place that shows it. */
export function onTrouble(place) {
  listener = place;
  tell();
}

const first = () => waiting.values().next().value ?? null;

function tell() {
  listener?.(first());
}

const impatient = new Set();

/** Ends all waits: somebody pressed “try now”, or the browser is online again. */
export function tryNow() {
  for (const wake of [...impatient]) wake();
}

addEventListener("online", tryNow);

/** Waits; ends early by `tryNow`. Rejects with an `AbortError` when aborted. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const end = (settle) => () => {
      clearTimeout(timer);
      impatient.delete(wake);
      signal?.removeEventListener("abort", abort);
      settle();
    };
    const wake = end(resolve);
    const abort = end(() => reject(new DOMException("aborted", "AbortError")));
    const timer = setTimeout(wake, milliseconds);
    impatient.add(wake);
    signal?.addEventListener("abort", abort);
    if (signal?.aborted) abort();
  });
}

/** How long to wait before the `n`th try after the first, in milliseconds. */
export const backoff = (n) => Math.min(30_000, 1000 * 2 ** Math.min(n - 1, 5));

// Walks through the dashboard in a real browser: every flow, by mouse and by keyboard, in both languages, light and
// dark, on a phone and on a desk.
//
//     node walk.js                     against the mock
//     BASE_URL=http://… node walk.js   against a server; more in stage.js
//
// ONLY, a part of a test's name, leaves out the others.

import { sources } from "./sources.js";
import { end, mock, sweepUp, tests } from "./stage.js";

import "./flows-lists.js";
import "./flows-models.js";
import "./flows-live.js";
import "./flows-catalogue.js";
import "./flows-frame.js";
import "./looks.js";

const { ONLY: only } = process.env;
let failed = 0;
const report = (name, error, started) => {
  if (error) failed += 1;
  console.log(`${error ? "FAILED" : "ok"}  ${name}  (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  if (error) console.log(error.stack ?? error);
};
for (const [name, run] of [...sources, ...tests.map((own) => [own.name, own.onMock && !mock ? null : own.run])]) {
  if (only && !name.includes(only)) continue;
  if (!run) {
    console.log(`left out  ${name}: needs the mock`);
    continue;
  }
  const started = performance.now();
  try {
    await run();
    report(name, null, started);
  } catch (error) {
    report(name, error, started);
    await sweepUp();
  }
}
await end();
process.exitCode = failed ? 1 : 0;

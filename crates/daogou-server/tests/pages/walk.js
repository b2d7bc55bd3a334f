// Walks through the dashboard in a real browser: every flow, by mouse and by keyboard, in both languages, light and dark,
// on a phone and on a desk, with axe-core's checks.
//
//     node walk.js                 against the mock
//     BASE_URL=http://… node walk.js   against a server; API_KEY of an administrator where it has keys
//
// CHROMIUM names another browser, SCREENSHOTS a folder for pictures, ONLY a part of a test's name.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { start } from "./mock.js";
import { sources } from "./sources.js";

const ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const EVIL = "<img src=x onerror=alert(1)>";
const { API_KEY: key, BASE_URL: given, ONLY: only, SCREENSHOTS: pictures } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
if (pictures) mkdirSync(pictures, { recursive: true });

const mock = given ? null : await start();
const base = given ?? mock.url;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS });

/** The API, asked from outside the browser. */
async function api(method, path, body) {
  const headers = { ...(key ? { "X-API-Key": key } : {}), ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  const response = await fetch(base + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
}

/** What the mock is told. */
const control = (what, body = {}) => api("POST", `/mock/${what}`, body);

/** A page that remembers what went wrong in it. `refusals`: statuses that the test provokes. */
async function open(path, { width = 1280, height = 800, locale = "en-GB", colorScheme = "light", reducedMotion = "no-preference", refusals = [] } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, locale, colorScheme, reducedMotion });
  if (key) await context.addInitScript((own) => sessionStorage.setItem("daogou-key", own), key);
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  const faults = [];
  page.on("pageerror", (error) => faults.push(`page: ${error.message}`));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    const text = message.text();
    const status = /status of (\d+)/.exec(text)?.[1];
    if (status && refusals.includes(Number(status))) return;
    if (refusals.includes("offline") && /net::ERR_/.test(text)) return;
    faults.push(`console: ${text} ${message.location().url}`);
  });
  await page.goto(`${base}${path}`);
  return { page, close: async () => { await context.close(); assert.deepEqual(faults, [], "nothing goes wrong in the page"); } };
}

const tests = [];
const test = (name, run, { onMock = false } = {}) => tests.push({ name, run, onMock });

const panel = (page, name) => page.locator(".panel", { has: page.getByRole("heading", { name, exact: true }) });
const titles = (page) => page.locator(".cards .title").allInnerTexts();
const settled = async (page) => {
  // The question is asked a moment after the last change.
  await page.waitForTimeout(200);
  await page.locator('.screen[aria-busy="false"]').waitFor();
};
const picture = async (page, name) => {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
};
/** Sets a slider's place as a finger would, in steps of the slider. */
const slide = (slider, place) => slider.fill(String(place));

test("lists: a person, weights, what changed and why", async () => {
  const { page, close } = await open("/#/lists");
  await page.locator(".card").first().waitFor();
  const { body: people } = await api("GET", "/v1/users?limit=3");
  const person = people.users[2].id;
  const box = page.getByRole("combobox", { name: "Person" });
  await box.fill(person);
  await page.getByRole("option", { name: person }).first().click();
  await page.getByRole("heading", { name: `For ${person}` }).waitFor();
  await settled(page);
  const before = await titles(page);
  const moving = page.waitForFunction(() => document.querySelector(".cards").getAnimations({ subtree: true }).length > 0);
  await slide(page.getByRole("slider", { name: "Variety" }), 90);
  await moving;
  await settled(page);
  const after = await titles(page);
  assert.notDeepEqual(after, before, "the list follows the weight");
  // What is shown is what the server answers.
  const values = new URLSearchParams((await page.evaluate(() => location.hash)).split("?")[1]);
  const objectives = Object.fromEntries([...values].filter(([name]) => name.startsWith("w.")).map(([name, value]) => [name.slice(2), Number(value)]));
  const { body: answer } = await api("POST", "/v1/recommend", { user: person, k: Number(values.get("k")), objectives, explore: 0, preview: true });
  assert.deepEqual(after, answer.items.map((item) => item.title ?? item.item_id));
  // The sentences name every difference.
  const entered = after.filter((title) => !before.includes(title));
  const changes = await page.locator(".changes").innerText();
  for (const title of entered) assert.match(changes, new RegExp(`${title.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}\\s+entered at place \\d+`));
  assert.match(await page.locator('.screen [role="status"]').innerText(), /List updated: \d+ entered, \d+ left, \d+ moved/);
  assert.equal(await page.locator(".badge.change").count() > 0, true);
  await picture(page, "lists-changed");
  // Contributions as a table: each row sums up.
  const why = panel(page, "Why these items");
  await why.getByRole("button", { name: "As a table" }).click();
  for (const row of await why.locator("tbody tr").all()) {
    const numbers = (await row.locator("td").allInnerTexts()).map((text) => Number(text.replace(/,/g, "")));
    assert.ok(Math.abs(numbers.slice(0, -1).reduce((a, b) => a + b, 0) - numbers.at(-1)) < 5e-4, await row.innerText());
  }
  const mix = panel(page, "Wanted and shown");
  await mix.getByRole("button", { name: "As a table" }).click();
  assert.ok((await mix.locator("tbody tr").count()) > 0);
  // A list is held and compared with.
  await page.getByRole("button", { name: "Compare with this list" }).click();
  await slide(page.getByRole("slider", { name: "Variety" }), 0);
  await settled(page);
  await page.waitForTimeout(1600);
  await slide(page.getByRole("slider", { name: "Novelty" }), 100);
  await settled(page);
  assert.match(await panel(page, "What changed").innerText(), /Compared with the list you held/);
  await page.getByRole("button", { name: "Stop comparing" }).click();
  assert.match(await panel(page, "What changed").innerText(), /before your last change/);
  await page.getByRole("button", { name: "Start over" }).click();
  await settled(page);
  assert.deepEqual(await titles(page), before);
  // The address brings back the same wish.
  await page.getByRole("spinbutton", { name: "Items" }).fill("5");
  await settled(page);
  assert.equal((await titles(page)).length, 5);
  await page.reload();
  await page.locator(".card").first().waitFor();
  assert.equal((await titles(page)).length, 5);
  assert.equal(await page.getByRole("combobox", { name: "Person" }).inputValue(), person);
  await close();
});

test("lists: filter, context, method, and a newcomer", async () => {
  const { page, close } = await open("/#/lists", { refusals: [422] });
  await page.locator(".card").first().waitFor();
  const filter = page.getByRole("textbox", { name: "Only items where" });
  await filter.fill("price <=");
  const problem = page.locator(".field", { has: filter }).locator(".problem");
  await problem.filter({ hasText: /\w/ }).waitFor();
  assert.equal(await filter.getAttribute("aria-invalid"), "true");
  assert.ok((await titles(page)).length > 0, "the last list stays");
  await picture(page, "lists-wrong-filter");
  await filter.fill("price <= 500");
  await settled(page);
  assert.equal(await problem.innerText(), "");
  for (const text of await page.locator(".card .price").allInnerTexts()) assert.ok(Number(text.replace(/,/g, "")) <= 500, text);
  await filter.fill("price < 0");
  await page.getByText("Nothing in the catalogue passes").waitFor();
  await page.getByRole("button", { name: "Clear the filter" }).click();
  await page.locator(".card").first().waitFor();
  await page.getByRole("combobox", { name: "Method" }).selectOption({ index: 1 });
  await settled(page);
  const { body: offer } = await api("GET", "/v1/objectives");
  const known = offer.context.find(({ values }) => values);
  if (known) {
    await page.getByText("Context of the visit").click();
    const sent = page.waitForRequest((request) => request.url().endsWith("/v1/recommend") && request.postDataJSON().context?.[known.name] === known.values[0]);
    await page.getByLabel(known.name, { exact: true }).selectOption(known.values[0]);
    await sent;
  }
  const box = page.getByRole("combobox", { name: "Person" });
  await box.fill(EVIL);
  await box.press("Enter");
  await page.getByRole("heading", { name: `For newcomer ${EVIL}` }).waitFor();
  assert.equal(await page.locator("main img").count(), 0);
  await close();
});

test("lists: the latest answer wins, and what is under way is given up", async () => {
  const { page, close } = await open("/#/lists");
  await page.locator(".card").first().waitFor();
  await settled(page);
  let held = null;
  const given = [];
  page.on("requestfailed", (request) => given.push(request.url()));
  await page.route("**/v1/recommend", async (route) => {
    if (held) return route.continue();
    held = route;
    await new Promise((resolve) => setTimeout(resolve, 900));
    await route.continue().catch(() => {});
  });
  await slide(page.getByRole("slider", { name: "Variety" }), 100);
  await page.waitForTimeout(300);
  await slide(page.getByRole("slider", { name: "Variety" }), 0);
  await page.waitForTimeout(1400);
  await settled(page);
  assert.equal(given.filter((url) => url.endsWith("/v1/recommend")).length, 1, "the first question was given up");
  const values = new URLSearchParams((await page.evaluate(() => location.hash)).split("?")[1]);
  const objectives = Object.fromEntries([...values].filter(([name]) => name.startsWith("w.")).map(([name, value]) => [name.slice(2), Number(value)]));
  assert.equal(objectives.diversity, 0);
  const { body: answer } = await api("POST", "/v1/recommend", { user: values.get("user"), k: Number(values.get("k")), objectives, explore: 0, preview: true });
  assert.deepEqual(await titles(page), answer.items.map((item) => item.title ?? item.item_id));
  await close();
});

test("lists: presets are saved, chosen and deleted", async () => {
  const name = `walk-${Date.now()}`;
  const { page, close } = await open("/#/lists", { refusals: [422] });
  await page.locator(".card").first().waitFor();
  await slide(page.getByRole("slider", { name: "Variety" }), 50);
  await settled(page);
  const weight = await page.getByRole("spinbutton", { name: "Variety, exact weight" }).inputValue();
  await page.getByRole("button", { name: "Save as preset" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByText("A preset needs a name.").waitFor();
  await dialog.getByRole("textbox", { name: "Name" }).fill("no/slash, please");
  await dialog.getByRole("button", { name: "Save" }).click();
  await dialog.getByRole("alert").filter({ hasText: "expected" }).waitFor();
  await dialog.getByRole("textbox", { name: "Name" }).fill(name);
  await picture(page, "lists-save-preset");
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByText(`Preset “${name}” saved.`).waitFor();
  const { body: stored } = await api("GET", "/v1/presets");
  assert.equal(stored.presets.find((own) => own.name === name).objectives.diversity, Number(weight));
  const select = page.getByRole("combobox", { name: "Preset" });
  const other = stored.presets.find((own) => own.name !== name && own.objectives.diversity !== Number(weight));
  if (other) {
    await select.selectOption(other.name);
    await settled(page);
    assert.equal(Number(await page.getByRole("spinbutton", { name: "Variety, exact weight" }).inputValue()), other.objectives.diversity ?? 0);
  }
  await select.selectOption(name);
  await settled(page);
  assert.equal(await page.getByRole("spinbutton", { name: "Variety, exact weight" }).inputValue(), weight);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText(`Preset “${name}” deleted.`).waitFor();
  assert.equal((await api("GET", "/v1/presets")).body.presets.some((own) => own.name === name), false);
  await close();
});

test("lists: by keyboard alone", async () => {
  const { page, close } = await open("/#/lists", { reducedMotion: "reduce" });
  await page.locator(".card").first().waitFor();
  const focused = () => page.evaluate(() => {
    const own = document.activeElement;
    const style = getComputedStyle(own);
    return { name: own.getAttribute("aria-label") ?? own.labels?.[0]?.textContent ?? own.textContent, role: own.getAttribute("role") ?? own.type ?? own.tagName, outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 };
  });
  await page.keyboard.press("Tab");
  assert.match((await focused()).name, /Skip to the page/);
  await page.keyboard.press("Enter");
  const reach = async (name, role) => {
    for (let i = 0; i < 40; i += 1) {
      await page.keyboard.press("Tab");
      const own = await focused();
      assert.ok(own.outline, `the focus can be seen on ${own.name}`);
      if (own.name.trim() === name && (!role || own.role === role)) return;
    }
    assert.fail(`${name} cannot be reached by Tab`);
  };
  await reach("Person");
  const { body: people } = await api("GET", "/v1/users?limit=12");
  await page.keyboard.type(people.users[3].id);
  await page.getByRole("option", { name: people.users[3].id }).first().waitFor();
  await page.keyboard.press("ArrowDown");
  assert.ok(await page.getByRole("combobox", { name: "Person" }).getAttribute("aria-activedescendant"));
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: `For ${people.users[3].id}` }).waitFor();
  await settled(page);
  const before = await titles(page);
  await reach("Variety", "range");
  const slider = page.getByRole("slider", { name: "Variety" });
  const was = await slider.getAttribute("aria-valuetext");
  await page.evaluate(() => {
    window.moved = 0;
    const animate = Element.prototype.animate;
    Element.prototype.animate = function (...values) {
      window.moved += 1;
      return animate.apply(this, values);
    };
  });
  await page.keyboard.press("End");
  assert.notEqual(await slider.getAttribute("aria-valuetext"), was);
  await settled(page);
  assert.equal(await page.evaluate(() => window.moved), 0, "nothing moves where less motion is wanted");
  assert.notDeepEqual(await titles(page), before);
  await reach("Compare with this list");
  await page.keyboard.press("Enter");
  assert.equal(await page.getByRole("button", { name: "Stop comparing" }).getAttribute("aria-pressed"), "true");
  await reach("As a table");
  await page.keyboard.press("Enter");
  await panel(page, "Why these items").locator("tbody tr").first().waitFor();
  await close();
});

test("lists: on a phone, what a turn did is said beside the weights", async () => {
  const { page, close } = await open("/#/lists", { width: 360, height: 740 });
  await page.locator(".card").first().waitFor();
  await slide(page.getByRole("slider", { name: "Variety" }), 90);
  const way = page.getByRole("button", { name: /in, .* out, .* moved/ });
  await way.waitFor();
  if (pictures) await page.screenshot({ path: join(pictures, "lists-phone-peek.png") });
  await way.click();
  await page.waitForFunction(() => Math.abs(document.querySelector(".screen").getBoundingClientRect().top) < 60);
  await close();
});

test("trade-offs: axes, points, applying one, saving one", async () => {
  const { body: models } = await api("GET", "/v1/models");
  const { status, body: sweep } = await api("GET", `/v1/models/${models.serving}/trade-offs`);
  assert.equal(status, 200, "the serving model has trade-offs to show");
  const name = `knee-${Date.now()}`;
  const { page, close } = await open("/#/trade-offs");
  const points = page.getByRole("listbox", { name: /Points of the front/ }).getByRole("option");
  await points.first().waitFor();
  await page.getByRole("heading", { name: "The knee" }).waitFor();
  await page.getByRole("combobox", { name: "Across" }).selectOption({ label: "KL to the wanted mix" });
  await page.getByText("KL to the wanted mix (less is better)").waitFor();
  await page.getByRole("combobox", { name: "Across" }).selectOption({ label: "Match of the wanted mix" });
  const others = page.getByRole("checkbox", { name: "other methods" });
  if (await others.count()) await others.check();
  await points.nth(1).hover({ force: true });
  await page.getByRole("heading", { name: "A point" }).waitFor();
  await picture(page, "trade-offs-others");
  // By keyboard: one stop, arrows walk, Enter chooses.
  await points.nth(1).focus();
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Chosen" }).waitFor();
  const chosen = page.locator('.target[aria-selected="true"]');
  assert.equal(await chosen.count(), 1);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-selected")), "true");
  const label = await chosen.getAttribute("aria-label");
  await page.getByRole("button", { name: "Save as preset" }).click();
  await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).fill(name);
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByText(`Preset “${name}” saved.`).waitFor();
  const saved = (await api("GET", "/v1/presets")).body.presets.find((own) => own.name === name);
  assert.ok(sweep.points.some((point) => point.explore === saved.explore && Object.entries(point.weights).every(([key, value]) => (saved.objectives[key] ?? 0) === value)), "what is saved is a point's");
  await api("DELETE", `/v1/presets/${name}`);
  const front = panel(page, "The front");
  await front.getByRole("button", { name: "As a table" }).click();
  assert.ok((await front.locator("tbody tr").count()) > 1);
  await front.getByRole("button", { name: "As a table" }).click();
  await page.getByRole("button", { name: "See the list" }).click();
  await page.locator(".card").first().waitFor();
  for (const [key, value] of Object.entries(saved.objectives)) {
    const words = { click: "Clicks", purchase: "Orders", revenue: "Revenue", diversity: "Variety", novelty: "Novelty" }[key];
    const field = page.getByRole("spinbutton", { name: `${words}, exact weight` });
    if (await field.count()) assert.equal(Number(await field.inputValue()), value, `${key} of ${label}`);
  }
  assert.equal(Number(await page.getByRole("spinbutton", { name: "Explore, exact weight" }).inputValue()), saved.explore);
  await close();
});

test("trade-offs: a run without them computes them, with progress", async () => {
  const { page, close } = await open("/#/trade-offs?model=2026-11-24T081500", { refusals: [404] });
  await page.getByRole("heading", { name: "No trade-offs are kept with this run" }).waitFor();
  await page.getByRole("button", { name: "Compute trade-offs" }).click();
  await page.getByRole("heading", { name: "Computing trade-offs" }).waitFor();
  await page.getByRole("progressbar").waitFor();
  await picture(page, "trade-offs-computing");
  await page.getByRole("heading", { name: "The front" }).waitFor();
  await close();
}, { onMock: true });

test("models: metrics, curves, calibration, two side by side", async () => {
  const { page, close } = await open("/#/models");
  await page.getByRole("heading", { name: "Learning curves" }).waitFor();
  const { body: models } = await api("GET", "/v1/models");
  const beside = page.getByRole("combobox", { name: "Beside it" });
  const usable = models.models.filter((own) => own.state !== "damaged" && own.name !== models.serving);
  if (usable.length) {
    await beside.selectOption(usable[0].name);
    await page.getByRole("columnheader", { name: "Difference" }).first().waitFor();
  }
  for (const damaged of models.models.filter((own) => own.state === "damaged")) await page.getByText(damaged.problem).waitFor();
  const figures = page.locator("figure:visible");
  await figures.first().locator("svg").first().waitFor();
  const n = await figures.count();
  assert.ok(n >= 4, `${n} charts`);
  for (let i = 0; i < n; i += 1) {
    await figures.nth(i).getByRole("button", { name: "As a table" }).click();
    assert.ok((await figures.nth(i).locator("tbody tr").count()) > 0, `chart ${i} has a table`);
  }
  await picture(page, "models-tables");
  await close();
});

test("models: load, promote, roll back, each after a question", async () => {
  const { page, close } = await open("/#/models");
  const row = (name) => page.getByRole("row", { name: new RegExp(name) });
  await row("2026-11-23").getByRole("button", { name: "Load" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Load" }).click();
  await row("2026-11-23").getByText("loaded").waitFor();
  await row("2026-11-23").getByRole("button", { name: "Promote" }).click();
  await picture(page, "models-promote");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal((await api("GET", "/v1/models")).body.serving, "2026-11-25T081500", "turning back changes nothing");
  await row("2026-11-23").getByRole("button", { name: "Promote" }).click();
  await page.keyboard.press("Escape");
  assert.equal(await page.getByRole("dialog").count(), 0);
  await row("2026-11-23").getByRole("button", { name: "Promote" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Promote" }).click();
  await row("2026-11-23").getByText("serving").waitFor();
  await page.locator(".serving-name", { hasText: "2026-11-23T081500" }).waitFor();
  await page.getByRole("button", { name: /Roll back to/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await row("2026-11-25").getByText("serving").waitFor();
  await close();
}, { onMock: true });

test("models: training is watched to its end, and can be cancelled", async () => {
  const { page, close } = await open("/#/models");
  await page.getByRole("textbox", { name: /Name/ }).fill("walk-run");
  await page.getByRole("button", { name: "Start training" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Start training" }).click();
  const bar = page.getByRole("progressbar", { name: "Progress" });
  await bar.waitFor();
  await page.locator(".job figure svg").waitFor();
  await picture(page, "models-training");
  await page.getByText("Promoted.").waitFor({ timeout: 10_000 });
  assert.equal(await bar.count(), 0);
  assert.match(await page.locator(".job").innerText(), /Serving before/);
  await page.locator(".serving-name", { hasText: "walk-run" }).waitFor();
  await page.getByRole("textbox", { name: /Name/ }).fill("");
  await page.getByRole("button", { name: "Start training" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Start training" }).click();
  await bar.waitFor();
  await page.getByRole("button", { name: "Cancel it" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel it" }).click();
  await page.locator(".job").getByText("Cancelled").first().waitFor();
  await control("reset");
  await close();
}, { onMock: true });

test("live: numbers come in, stop on pause, split by arm, and stand in tables", async () => {
  const { page, close } = await open("/#/live");
  await page.locator("figure svg.plot").first().waitFor();
  const curve = () => page.locator("figure svg.plot path.line").first().getAttribute("d");
  await page.getByRole("combobox", { name: "Last" }).selectOption("5");
  if (mock) {
    const first = await curve();
    await page.waitForFunction((was) => document.querySelector("figure svg.plot path.line").getAttribute("d") !== was, first);
  }
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText(/Paused at/).waitFor();
  const still = await page.locator(".tiles").innerText();
  await page.waitForTimeout(2300);
  assert.equal(await page.locator(".tiles").innerText(), still);
  await page.getByRole("button", { name: "Go on" }).click();
  for (const figure of await page.locator("figure").all()) {
    await figure.getByRole("button", { name: "As a table" }).click();
    assert.ok((await figure.locator("tbody tr").count()) > 10);
    await figure.getByRole("button", { name: "As a table" }).click();
  }
  await page.getByRole("combobox", { name: "Show" }).selectOption("presets");
  if (mock) await page.locator(".legend", { hasText: "balanced" }).first().waitFor();
  await page.getByRole("combobox", { name: "Show" }).selectOption("arms");
  if (mock) await page.locator(".legend", { hasText: "spring/A" }).first().waitFor();
  await picture(page, "live-arms");
  await close();
});

test("experiments: verdicts in words, one at a time, start, stop, delete", async () => {
  const name = `walk-${Date.now()}`;
  const { page, close } = await open("/#/experiments", { refusals: [409] });
  await page.getByRole("button", { name: "New experiment" }).waitFor();
  const { body } = await api("GET", "/v1/experiments");
  const running = body.experiments.find((own) => own.state === "running");
  if (running?.comparisons.length) {
    const said = await page.locator(".verdicts li").allInnerTexts();
    assert.equal(said.length, running.comparisons.length);
    for (const sentence of said) assert.match(sentence, /better than|worse than|No difference|not enough/);
  }
  const fill = async () => {
    await page.getByRole("button", { name: "New experiment" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Start" }).click();
    await dialog.getByText("An experiment needs a name.").waitFor();
    await dialog.getByRole("textbox", { name: "Name" }).fill(name);
    await dialog.getByRole("combobox", { name: "Serves" }).nth(1).selectOption({ index: 1 });
    await dialog.getByRole("button", { name: "Start" }).click();
    return dialog;
  };
  const stop = async (which) => {
    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Stop" }).click();
    await page.getByText(`“${which}” has stopped.`).waitFor();
  };
  if (running) {
    const dialog = await fill();
    await dialog.getByText(running.name).waitFor();
    await picture(page, "experiments-conflict");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await page.locator("figure").getByRole("button", { name: "As a table" }).click();
    assert.equal(await page.locator("figure tbody tr").count(), running.comparisons.length);
    await stop(running.name);
  }
  await fill();
  await page.getByText(`Experiment “${name}” has started.`).waitFor();
  await page.getByRole("heading", { name }).waitFor();
  assert.equal((await api("GET", `/v1/experiments/${name}`)).body.state, "running");
  await stop(name);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText(`“${name}” is deleted.`).waitFor();
  assert.equal((await api("GET", `/v1/experiments/${name}`)).status, 404);
  if (mock) await control("reset");
  await close();
});

test("catalogue: search, edit, take out, put back, delete, and a title that would be markup", async () => {
  const id = `walk-${Date.now()}`;
  const { page, close } = await open("/#/catalogue", { refusals: [422] });
  await page.getByRole("button", { name: "New item" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Add" }).click();
  await dialog.getByText("An item needs an id.").waitFor();
  await dialog.getByRole("textbox", { name: "Id" }).fill(id);
  await dialog.getByRole("textbox", { name: "Title" }).fill(EVIL);
  await dialog.getByRole("combobox", { name: "Category" }).selectOption({ index: 1 });
  await dialog.getByRole("textbox", { name: "Price" }).fill("99.5");
  await dialog.getByRole("button", { name: "Add" }).click();
  await page.getByRole("heading", { name: EVIL }).waitFor();
  const search = page.getByRole("searchbox", { name: "Search by title or id" });
  await search.fill(id);
  await page.getByRole("row", { name: id }).waitFor();
  assert.equal(await page.locator("main img").count(), 0, "a title is text");
  assert.equal(await page.getByRole("button", { name: EVIL }).count(), 1);
  await picture(page, "catalogue-evil");
  const on = page.getByRole("switch");
  await on.click();
  await page.getByText("is not listed any more").waitFor();
  assert.equal((await api("GET", `/v1/items/${id}`)).body.available, false);
  await on.click();
  await page.getByText("can be listed again").waitFor();
  await page.getByRole("textbox", { name: "price" }).fill("cheap");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByText("expected a number, got “cheap”").waitFor();
  await page.getByRole("textbox", { name: "price" }).fill("120");
  await page.getByRole("button", { name: "Add an attribute" }).click();
  await page.getByRole("textbox", { name: "Name of the attribute" }).fill("brand");
  await page.getByRole("textbox", { name: "Value of the attribute" }).fill("Walk");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByText("Changes saved.").waitFor();
  let stored = (await api("GET", `/v1/items/${id}`)).body.attributes;
  assert.deepEqual([stored.title, stored.price, stored.brand], [EVIL, 120, "Walk"]);
  await page.getByRole("button", { name: "Take brand away" }).click();
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByRole("button", { name: "Take brand away" }).waitFor({ state: "detached" });
  await page.waitForTimeout(300);
  stored = (await api("GET", `/v1/items/${id}`)).body.attributes;
  assert.equal("brand" in stored, false);
  // The same title on the phone screen.
  const second = await open(`/#/lists?user=newcomer&filter=${encodeURIComponent("price = 120")}&k=50`);
  await second.page.locator(".cards .title").first().waitFor();
  assert.ok((await titles(second.page)).includes(EVIL));
  assert.equal(await second.page.locator("main img").count(), 0);
  await second.close();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("is deleted.").waitFor();
  await page.getByText("Nothing matches.").waitFor();
  await search.fill("");
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText(/^26–50 of/).waitFor();
  await close();
});

test("users: search, edit, what happened lately, their list", async () => {
  const evil = `${EVIL}${Date.now()}`;
  await api("PUT", `/v1/users/${encodeURIComponent(evil)}`, { id: evil, attributes: { age: "25-34" } });
  const { page, close } = await open("/#/users");
  const search = page.getByRole("searchbox", { name: "Search by id" });
  await search.fill(evil);
  await page.getByRole("button", { name: evil }).click();
  await page.getByRole("heading", { name: evil }).waitFor();
  assert.equal(await page.locator("main img").count(), 0, "an id is text");
  await page.getByRole("textbox", { name: "age" }).fill("35-44");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByText("Changes saved.").waitFor();
  assert.equal((await api("GET", `/v1/users/${encodeURIComponent(evil)}`)).body.attributes.age, "35-44");
  await page.getByRole("heading", { name: "Lately" }).waitFor();
  await page.getByRole("link", { name: "See their list" }).click();
  await page.getByRole("heading", { name: new RegExp(`For (newcomer )?${EVIL.slice(0, 4)}`) }).waitFor();
  await page.goBack();
  await page.getByRole("heading", { name: evil }).waitFor();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("is deleted.").waitFor();
  await close();
});

test("a key is asked for, a wrong one refused, and roles are said in words", async () => {
  await control("auth", { on: true });
  try {
    const { page, close } = await open("/#/lists", { refusals: [401, 403] });
    const dialog = page.getByRole("dialog", { name: "API key" });
    await dialog.waitFor();
    await picture(page, "key");
    await dialog.getByLabel("Key", { exact: true }).fill("nonsense");
    await dialog.getByRole("button", { name: "Use this key" }).click();
    await page.getByText("That key was not accepted.").waitFor();
    await dialog.getByLabel("Key", { exact: true }).fill("read-key");
    await dialog.getByRole("button", { name: "Use this key" }).click();
    await page.locator(".card").first().waitFor();
    await page.getByText("Your key may read.").waitFor();
    await page.locator('.connection[data-state="open"]').waitFor();
    assert.equal(await page.evaluate(() => localStorage.getItem("daogou-key")), null, "the key outlives the tab nowhere");
    await page.getByRole("button", { name: "Save as preset" }).click();
    await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).fill("mine");
    await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
    await page.getByText(/Your key may not do this\..*expected the role write, got read\./).waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await close();
    const second = await open("/#/lists", { refusals: [401] });
    await second.page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    await second.page.getByRole("heading", { name: "This page could not be shown" }).waitFor();
    await second.page.getByRole("button", { name: "Try again" }).click();
    await second.page.getByRole("dialog").getByLabel("Key", { exact: true }).fill("admin-key");
    await second.page.getByRole("dialog").getByRole("button", { name: "Use this key" }).click();
    await second.page.locator(".card").first().waitFor();
    await second.page.locator('.connection[data-state="open"]').waitFor();
    await second.close();
  } finally {
    await control("auth", { on: false });
  }
}, { onMock: true });

test("a server that is busy, ill or away is said in words and tried again", async () => {
  const { page, close } = await open("/#/users", { refusals: [429, 503, "offline"] });
  await page.getByRole("row").nth(1).waitFor();
  const search = page.getByRole("searchbox");
  const bar = page.locator(".trouble");
  const found = async (text) => page.getByText(text).waitFor();
  await control("fail", { path: "/v1/users", status: 503, times: 1, retry_after: 30, detail: "the store is slow" });
  await search.fill("u00");
  await bar.getByText("The server cannot answer at the moment. the store is slow.").waitFor();
  await picture(page, "trouble");
  await bar.getByRole("button", { name: "Try now" }).click();
  await found("1–25 of 1,000");
  assert.equal(await bar.innerText(), "");
  await control("fail", { path: "/v1/users", status: 429, times: 1, retry_after: 1 });
  await search.fill("u000");
  await bar.getByText("The server has too much to do").waitFor();
  await found("1–25 of 100");
  await control("fail", { path: "/v1/users", status: 0, times: 20 });
  await search.fill("u0001");
  await bar.getByText("The server does not answer.").waitFor();
  await control("heal");
  await bar.getByRole("button", { name: "Try now" }).click();
  await found("1–10 of 10");
  await bar.getByText("The server does not answer.").waitFor({ state: "detached" });
  await page.locator('.connection[data-state="open"]').waitFor();
  await control("fail", { path: "/v1/stream", status: 503, times: 1 });
  await control("drop");
  await page.locator('.connection:not([data-state="open"])').waitFor();
  await page.locator('.connection[data-state="open"]').waitFor({ timeout: 15_000 });
  // What changes something is not tried again behind one's back.
  await page.getByRole("button", { name: "u00010" }).click();
  await page.getByRole("textbox", { name: "age" }).fill("99");
  await control("fail", { path: "/v1/users/u00010", status: 503, times: 1 });
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByText("The server cannot do this at the moment; try again soon.").waitFor();
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByText("Changes saved.").waitFor();
  await control("heal");
  await close();
}, { onMock: true });

test("the API's documentation: routes, schemas, statuses, and trying one", async () => {
  const { page, close } = await open("/docs");
  const first = page.locator(".operation", { hasText: "/v1/recommend" }).first();
  await first.locator("summary").first().click();
  await first.getByRole("heading", { name: "Answers" }).waitFor();
  assert.match(await first.innerText(), /422/);
  const { body: people } = await api("GET", "/v1/users?limit=1");
  await first.getByRole("textbox", { name: /Body/ }).fill(JSON.stringify({ user: people.users[0].id, k: 3, preview: true }));
  await first.getByRole("button", { name: "Send" }).click();
  await first.getByText("200 OK").waitFor();
  assert.match(await first.locator(".answer pre").innerText(), /"item_id"/);
  const items = page.locator(".operation", { has: page.locator(".method.get"), hasText: "/v1/items/{id}" }).first();
  await items.locator("summary").first().click();
  await items.getByRole("textbox", { name: /id/ }).first().fill("");
  await items.getByRole("button", { name: "Send" }).click();
  await items.getByText("id is required.").waitFor();
  await picture(page, "docs-open");
  await page.getByRole("button", { name: "中文" }).click();
  await page.getByRole("link", { name: "数据结构" }).click();
  await close();
});

test("Chinese where the browser speaks it; language and theme are remembered", async () => {
  const { page, close } = await open("/#/lists", { locale: "zh-CN" });
  await page.getByRole("heading", { name: "推荐列表" }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-CN");
  await page.locator(".card").first().waitFor();
  await page.getByRole("button", { name: "English" }).click();
  await page.getByRole("heading", { name: "Lists" }).waitFor();
  await page.getByRole("combobox", { name: "Light or dark" }).selectOption("dark");
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(await ground(), "rgb(15, 15, 14)");
  await page.reload();
  await page.getByRole("heading", { name: "Lists" }).waitFor();
  assert.equal(await ground(), "rgb(15, 15, 14)");
  await page.getByRole("combobox", { name: "Light or dark" }).selectOption("light");
  assert.equal(await ground(), "rgb(246, 245, 241)");
  await close();
});

const PAGES = ["/#/lists", "/#/trade-offs", "/#/models", "/#/live", "/#/experiments", "/#/catalogue?id=ITEM", "/#/users?id=USER", "/docs"];
const READY = [".card", ".target", "figure svg.plot", "figure svg.plot", "main .panel", ".attribute", ".editor", ".operation"];

/** Every page on a phone or a desk, looked at by axe and by the camera. */
function looks(name, options) {
  test(`looks: ${name}`, async () => {
    const [{ body: items }, { body: users }] = [await api("GET", "/v1/items?limit=1"), await api("GET", "/v1/users?limit=1")];
    const { page, close } = await open("/#/lists", options);
    for (const [i, path] of PAGES.entries()) {
      const own = path.replace("ITEM", encodeURIComponent(items.items[0].id)).replace("USER", encodeURIComponent(users.users[0].id));
      await page.goto(base + own);
      await page.locator(READY[i]).first().waitFor();
      if (path === "/docs") await page.locator(".operation summary").first().click();
      await page.waitForTimeout(500);
      const wide = await page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${path} is ${wide} px wider than the screen`);
      await picture(page, `${path.replace(/\W+/g, " ").trim().split(" ")[0]}-${name.replace(/\W+/g, "-")}`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => window.axe.run(document, { preload: false }));
      const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
      assert.deepEqual(grave.map(({ id, nodes }) => `${path} ${id}: ${nodes.slice(0, 3).map(({ target, any }) => `${target} ${any?.[0]?.message ?? ""}`).join("; ")}`), []);
    }
    await close();
  });
}
looks("desk, light", { width: 1280, height: 800 });
looks("desk, dark, Chinese", { width: 1280, height: 800, colorScheme: "dark", locale: "zh-CN" });
looks("phone, light, Chinese", { width: 360, height: 740, locale: "zh-CN" });
looks("phone, dark", { width: 360, height: 740, colorScheme: "dark" });
looks("wide", { width: 1600, height: 1000 });
looks("tablet", { width: 768, height: 1024 });

let failed = 0;
const report = (name, error, started) => {
  if (error) failed += 1;
  console.log(`${error ? "FAILED" : "ok"}  ${name}  (${((performance.now() - started) / 1000).toFixed(1)} s)`);
  if (error) console.log(error.stack ?? error);
};
for (const [name, run] of [...sources, ...tests.map((own) => [own.name, own.onMock && given ? null : own.run])]) {
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
    for (const context of browser.contexts()) await context.close();
  }
}
await browser.close();
await mock?.close();
process.exitCode = failed ? 1 : 0;

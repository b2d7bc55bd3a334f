// What the tests stand on: a server, a browser, and pages that remember what went wrong in them.
//
// BASE_URL names a server (the mock, where there is none), API_KEY an administrator's key where it has keys, CHROMIUM
// another browser, SCREENSHOTS a folder for pictures.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { start } from "./mock.js";

const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** An id or a title that would be markup, were it not text. */
export const EVIL = "<img src=x onerror=alert(1)>";

const { API_KEY: key, BASE_URL: given, SCREENSHOTS: pictures } = process.env;
if (pictures) mkdirSync(pictures, { recursive: true });

/** The mock; `null` where the tests go against another server. */
export const mock = given ? null : await start();
export const base = given ?? mock.url;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS });

/** Closes what a failed test left open. */
export async function sweepUp() {
  for (const context of browser.contexts()) await context.close();
}

/** Closes everything. */
export async function end() {
  await browser.close();
  await mock?.close();
}

/** The API, asked from outside the browser. */
export async function api(method, path, body) {
  const headers = {
    ...(key ? { "X-API-Key": key } : {}),
    ...(body === undefined ? {} : { "Content-Type": "application/json" }),
  };
  const response = await fetch(base + path, {
    method,
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
}

/** What the mock is told. */
export const control = (what, body = {}) => api("POST", `/mock/${what}`, body);

/** A page that remembers what went wrong in it. `refusals`: statuses that the test provokes. */
export async function open(
  path,
  {
    width = 1280,
    height = 800,
    locale = "en-GB",
    colorScheme = "light",
    reducedMotion = "no-preference",
    refusals = [],
  } = {},
) {
  const context = await browser.newContext({ viewport: { width, height }, locale, colorScheme, reducedMotion });
  if (key) await context.addInitScript((own) => sessionStorage.setItem("daogou-key", own), key);
  await context.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) =>
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`),
    );
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
  return {
    page,
    close: async () => {
      await context.close();
      assert.deepEqual(faults, [], "nothing goes wrong in the page");
    },
  };
}

/** All tests, in the order in which they are declared: `{ name, run, onMock }`. */
export const tests = [];

/** Declares one; `onMock`: it can only be shown against the mock. */
export const test = (name, run, { onMock = false } = {}) => tests.push({ name, run, onMock });

/** The panel under a heading. */
export const panel = (page, name) => page.locator(".panel", { has: page.getByRole("heading", { name, exact: true }) });
/** Titles on the phone screen, from the top. */
export const titles = (page) => page.locator(".cards .title").allInnerTexts();
/** Waits until the list follows what was asked last. */
export const settled = async (page) => {
  // The question is asked a moment after the last change.
  await page.waitForTimeout(200);
  await page.locator('.screen[aria-busy="false"]').waitFor();
};
/** A picture for people to look at, of the whole page unless told otherwise. */
export const picture = async (page, name, fullPage = true) => {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage });
};
/** Sets a slider's place as a finger would, in steps of the slider. */
export const slide = (slider, place) => slider.fill(String(place));

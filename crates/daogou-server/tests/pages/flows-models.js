// Trade-offs and models.

import assert from "node:assert/strict";

import { api, control, open, panel, picture, test } from "./stage.js";

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
  assert.ok(
    sweep.points.some(
      (point) =>
        point.explore === saved.explore &&
        Object.entries(point.weights).every(([key, value]) => (saved.objectives[key] ?? 0) === value),
    ),
    "what is saved is a point's",
  );
  await api("DELETE", `/v1/presets/${name}`);
  const front = panel(page, "The front");
  await front.getByRole("button", { name: "As a table" }).click();
  assert.ok((await front.locator("tbody tr").count()) > 1);
  await front.getByRole("button", { name: "As a table" }).click();
  await page.getByRole("button", { name: "See the list" }).click();
  await page.locator(".card").first().waitFor();
  for (const [key, value] of Object.entries(saved.objectives)) {
    const words = { click: "Clicks", purchase: "Orders", revenue: "Revenue", diversity: "Variety", novelty: "Novelty" }[
      key
    ];
    const field = page.getByRole("spinbutton", { name: `${words}, exact weight` });
    if (await field.count()) assert.equal(Number(await field.inputValue()), value, `${key} of ${label}`);
  }
  assert.equal(
    Number(await page.getByRole("spinbutton", { name: "Explore, exact weight" }).inputValue()),
    saved.explore,
  );
  await close();
});

test(
  "trade-offs: a run without them computes them, with progress",
  async () => {
    const { page, close } = await open("/#/trade-offs?model=2026-11-24T081500", { refusals: [404] });
    await page.getByRole("heading", { name: "No trade-offs are kept with this run" }).waitFor();
    await page.getByRole("button", { name: "Compute trade-offs" }).click();
    await page.getByRole("heading", { name: "Computing trade-offs" }).waitFor();
    await page.getByRole("progressbar").waitFor();
    await picture(page, "trade-offs-computing");
    await page.getByRole("heading", { name: "The front" }).waitFor();
    await close();
  },
  { onMock: true },
);

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
  for (const damaged of models.models.filter((own) => own.state === "damaged"))
    await page.getByText(damaged.problem).waitFor();
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

test(
  "models: load, promote, roll back, each after a question",
  async () => {
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
  },
  { onMock: true },
);

test(
  "models: training is watched to its end, and can be cancelled",
  async () => {
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
  },
  { onMock: true },
);

// Live numbers and experiments.

import assert from "node:assert/strict";

import { api, control, mock, open, picture, test } from "./stage.js";

test("live: numbers come in, stop on pause, split by arm, and stand in tables", async () => {
  const { page, close } = await open("/#/live");
  await page.locator("figure svg.plot").first().waitFor();
  const curve = () => page.locator("figure svg.plot path.line").first().getAttribute("d");
  await page.getByRole("combobox", { name: "Last" }).selectOption("5");
  if (mock) {
    const first = await curve();
    await page.waitForFunction(
      (was) => document.querySelector("figure svg.plot path.line").getAttribute("d") !== was,
      first,
    );
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

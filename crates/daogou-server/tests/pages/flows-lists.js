// Lists: by mouse, by keyboard, on a phone.

import assert from "node:assert/strict";

import { EVIL, api, open, panel, picture, settled, slide, test, titles } from "./stage.js";

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
  const moving = page.waitForFunction(
    () => document.querySelector(".cards").getAnimations({ subtree: true }).length > 0,
  );
  await slide(page.getByRole("slider", { name: "Variety" }), 90);
  await moving;
  await settled(page);
  const after = await titles(page);
  assert.notDeepEqual(after, before, "the list follows the weight");
  // What is shown is what the server answers.
  const values = new URLSearchParams((await page.evaluate(() => location.hash)).split("?")[1]);
  const objectives = Object.fromEntries(
    [...values].filter(([name]) => name.startsWith("w.")).map(([name, value]) => [name.slice(2), Number(value)]),
  );
  const { body: answer } = await api("POST", "/v1/recommend", {
    user: person,
    k: Number(values.get("k")),
    objectives,
    explore: 0,
    preview: true,
  });
  assert.deepEqual(
    after,
    answer.items.map((item) => item.title ?? item.item_id),
  );
  // The sentences name every difference.
  const entered = after.filter((title) => !before.includes(title));
  const changes = await page.locator(".changes").innerText();
  for (const title of entered)
    assert.match(changes, new RegExp(`${title.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}\\s+entered at place \\d+`));
  assert.match(
    await page.locator('.screen [role="status"]').innerText(),
    /List updated: \d+ entered, \d+ left, \d+ moved/,
  );
  assert.equal((await page.locator(".badge.change").count()) > 0, true);
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
  for (const text of await page.locator(".card .price").allInnerTexts())
    assert.ok(Number(text.replace(/,/g, "")) <= 500, text);
  await filter.fill("price < 0");
  await problem.filter({ hasText: "no item" }).waitFor();
  await filter.fill("");
  await settled(page);
  assert.equal(await problem.innerText(), "");
  await page.getByRole("combobox", { name: "Method" }).selectOption({ index: 1 });
  await settled(page);
  const { body: offer } = await api("GET", "/v1/objectives");
  const known = offer.context.find(({ values }) => values);
  if (known) {
    await page.getByText("Context of the visit").click();
    const sent = page.waitForRequest(
      (request) =>
        request.url().endsWith("/v1/recommend") && request.postDataJSON().context?.[known.name] === known.values[0],
    );
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
  const objectives = Object.fromEntries(
    [...values].filter(([name]) => name.startsWith("w.")).map(([name, value]) => [name.slice(2), Number(value)]),
  );
  assert.equal(objectives.diversity, 0);
  const { body: answer } = await api("POST", "/v1/recommend", {
    user: values.get("user"),
    k: Number(values.get("k")),
    objectives,
    explore: 0,
    preview: true,
  });
  assert.deepEqual(
    await titles(page),
    answer.items.map((item) => item.title ?? item.item_id),
  );
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
    assert.equal(
      Number(await page.getByRole("spinbutton", { name: "Variety, exact weight" }).inputValue()),
      other.objectives.diversity ?? 0,
    );
  }
  await select.selectOption(name);
  await settled(page);
  assert.equal(await page.getByRole("spinbutton", { name: "Variety, exact weight" }).inputValue(), weight);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText(`Preset “${name}” deleted.`).waitFor();
  assert.equal(
    (await api("GET", "/v1/presets")).body.presets.some((own) => own.name === name),
    false,
  );
  await close();
});

test("lists: by keyboard alone", async () => {
  const { page, close } = await open("/#/lists", { reducedMotion: "reduce" });
  await page.locator(".card").first().waitFor();
  const focused = () =>
    page.evaluate(() => {
      const own = document.activeElement;
      const style = getComputedStyle(own);
      return {
        name: own.getAttribute("aria-label") ?? own.labels?.[0]?.textContent ?? own.textContent,
        role: own.getAttribute("role") ?? own.type ?? own.tagName,
        outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
      };
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
  await picture(page, "lists-phone-peek", false);
  await way.click();
  await page.waitForFunction(() => Math.abs(document.querySelector(".screen").getBoundingClientRect().top) < 60);
  await close();
});

// What stands around the pages: keys, troubles, the documentation, language and theme.

import assert from "node:assert/strict";

import { api, control, open, picture, test } from "./stage.js";

test(
  "a key is asked for, a wrong one refused, and roles are said in words",
  async () => {
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
      assert.equal(
        await page.evaluate(() => localStorage.getItem("daogou-key")),
        null,
        "the key outlives the tab nowhere",
      );
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
  },
  { onMock: true },
);

test(
  "a server that is busy, ill or away is said in words and tried again",
  async () => {
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
  },
  { onMock: true },
);

test("the API's documentation: routes, schemas, statuses, and trying one", async () => {
  const { page, close } = await open("/docs");
  const first = page.locator(".operation", { hasText: "/v1/recommend" }).first();
  await first.locator("summary").first().click();
  await first.getByRole("heading", { name: "Answers" }).waitFor();
  assert.match(await first.innerText(), /422/);
  const { body: people } = await api("GET", "/v1/users?limit=1");
  await first
    .getByRole("textbox", { name: /Body/ })
    .fill(JSON.stringify({ user: people.users[0].id, k: 3, preview: true }));
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

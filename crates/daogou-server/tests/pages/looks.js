// Every page on a phone, a tablet and desks, light and dark, looked at by axe-core and by the camera.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { api, base, open, picture, test } from "./stage.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const PAGES = [
  "/#/lists",
  "/#/trade-offs",
  "/#/models",
  "/#/live",
  "/#/experiments",
  "/#/catalogue?id=ITEM",
  "/#/users?id=USER",
  "/docs",
];
const READY = [
  ".card",
  ".target",
  "figure svg.plot",
  "figure svg.plot",
  "main .panel",
  ".attribute",
  ".editor",
  ".operation",
];

/** Every page on a phone or a desk, looked at by axe and by the camera. */
function looks(name, options) {
  test(`looks: ${name}`, async () => {
    const [{ body: items }, { body: users }] = [
      await api("GET", "/v1/items?limit=1"),
      await api("GET", "/v1/users?limit=1"),
    ];
    const { page, close } = await open("/#/lists", options);
    for (const [i, path] of PAGES.entries()) {
      const own = path
        .replace("ITEM", encodeURIComponent(items.items[0].id))
        .replace("USER", encodeURIComponent(users.users[0].id));
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
      assert.deepEqual(
        grave.map(
          ({ id, nodes }) =>
            `${path} ${id}: ${nodes
              .slice(0, 3)
              .map(({ target, any }) => `${target} ${any?.[0]?.message ?? ""}`)
              .join("; ")}`,
        ),
        [],
      );
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

// Checks of the pages' files and of the modules that draw nothing, without a browser.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const pages = join(here, "../../pages");
const files = readdirSync(pages);
const text = (name) => readFileSync(join(pages, name), "utf8");
const load = (name) => import(join(pages, name));

/** `[name, run]`. */
export const sources = [
  [
    "every word is there in both languages, with the same values",
    async () => {
      const [{ en }, { zh }] = [await load("words-en.js"), await load("words-zh.js")];
      assert.deepEqual(Object.keys(zh), Object.keys(en));
      const values = (entry) => [...new Set(String(entry).match(/\{\w+\}/g) ?? [])].sort();
      for (const key of Object.keys(en)) {
        if (typeof en[key] === "function" || typeof zh[key] === "function") continue;
        if (key === "train.why") continue; // In Chinese the choice says it all.
        assert.deepEqual(values(zh[key]), values(en[key]), key);
      }
      for (const file of files.filter((name) => name.endsWith(".js"))) {
        for (const [, key] of text(file).matchAll(/\bt\("([^"]+)"/g))
          assert.ok(key in en, `${file}: no words for ${key}`);
      }
    },
  ],
  [
    "nothing is inserted as markup, nothing stands inline, nothing is loaded from elsewhere",
    () => {
      for (const file of files) {
        const source = text(file);
        const forbidden = source.match(
          /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setAttribute\("style"|cssText|javascript:/,
        );
        assert.equal(forbidden, null, `${file}: ${forbidden}`);
        for (const [url] of source.matchAll(/(?:https?:)?\/\/[\w.-]+\.[a-z]{2,}[^\s"')]*/g))
          assert.equal(url, "http://www.w3.org/2000/svg", file);
        if (file.endsWith(".html")) assert.doesNotMatch(source, /<style|style=|<script>|\son\w+=/, file);
      }
    },
  ],
  [
    "the palette is that of the report page",
    () => {
      const report = readFileSync(join(here, "../../../daogou/src/report/palette.css"), "utf8");
      const [light, dark] = report.split("@media");
      const colours = (css) =>
        Object.fromEntries([...css.matchAll(/--(\w+): (#[0-9a-f]{6})/g)].map(([, name, value]) => [name, value]));
      const own = Object.fromEntries(
        [...text("palette.css").matchAll(/--(\w+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(
          ([, name, ...both]) => [name, both],
        ),
      );
      for (const [name, value] of Object.entries(colours(light)))
        assert.deepEqual(own[name], [value, colours(dark)[name]], name);
    },
  ],
  [
    "two lists are compared by place",
    async () => {
      const { compare } = await load("changes.js");
      const item = (item_id, click = 0.1, diversity = 0) => ({ item_id, contributions: { click, diversity } });
      const { entered, left, moved, stayed } = compare(
        [item("a"), item("b"), item("c", 0.2)],
        [item("a"), item("c", 0.3), item("d", 0.1, 0.4)],
      );
      assert.equal(stayed, 1);
      assert.deepEqual(
        entered.map(({ item, place, reason }) => [item.item_id, place, reason.name, reason.total]),
        [["d", 3, "diversity", 0.5]],
      );
      assert.deepEqual(
        left.map(({ item, was }) => [item.item_id, was]),
        [["b", 2]],
      );
      assert.deepEqual(
        moved.map(({ item, was, place, shift }) => [item.item_id, was, place, shift.name]),
        [["c", 3, 2, "click"]],
      );
      assert.ok(Math.abs(moved[0].shift.value - 0.1) < 1e-12);
    },
  ],
  [
    "a front on two axes holds what nothing beats, and less KL is better",
    async () => {
      const { bestOn } = await load("front.js");
      const point = (click, kl) => ({
        values: { click: { mean: click }, ...(kl === null ? {} : { kl: { mean: kl } }) },
      });
      const points = [point(1, 3), point(2, 2), point(1.5, 2.5), point(3, 4), point(2, 2), point(9, null)];
      assert.deepEqual(bestOn(points, [0, 1, 2, 3, 4, 5], "click", "kl"), [1, 4, 3]);
      assert.deepEqual(bestOn(points, [0, 2], "click", "kl"), [2]);
    },
  ],
  [
    "seconds of the stream are counted once, and quiet steps are zeros",
    async () => {
      const { summed, Traffic } = await load("traffic.js");
      const point = (t, requests, more = {}) => ({
        t,
        requests,
        errors: 0,
        rejected: 0,
        p50_ms: 2,
        p99_ms: requests,
        impressions: 10 * requests,
        clicks: requests,
        purchases: 0,
        entropy: null,
        novelty: 0.5,
        ...more,
      });
      const traffic = new Traffic();
      const told = {
        step_s: 5,
        totals: [point(1000, 10), point(1010, 20), point(1015, 1)],
        arms: { "spring/A": [point(1000, 4)] },
        presets: {},
      };
      traffic.load(told, 1016);
      const span = { start: 1000, end: 1025, step: 5 };
      const requests = () => traffic.steps("totals", "", span).map((step) => step.requests);
      assert.deepEqual(requests(), [10, 0, 20, 0, 0], "a step that goes on is not known");
      assert.equal(traffic.add({ step_s: 1, totals: point(1016, 3) }), false, "what came before was not heard");
      assert.deepEqual(requests(), [10, 0, 20, undefined, 0]);
      for (const t of [1017, 1018, 1019, 1020]) assert.equal(traffic.add({ step_s: 1, totals: point(t, 3) }), true);
      traffic.add({ step_s: 1, totals: point(1020, 3) });
      assert.deepEqual(requests(), [10, 0, 20, undefined, 3], "1020 came twice");
      traffic.load({ ...told, totals: [...told.totals.slice(0, 2), point(1015, 13)] }, 1021);
      for (const t of [1021, 1022]) traffic.add({ step_s: 1, totals: point(t, 3) });
      traffic.add({ step_s: 1, totals: point(1017, 3) });
      assert.deepEqual(requests(), [10, 0, 20, 13, 6], "a second of a whole step is in it");
      assert.equal(traffic.add({ totals: point(1030, 1) }), false, "a gap");
      assert.equal(
        traffic.add({ step_s: 5, totals: [point(1010, 21), point(1015, 13)] }),
        true,
        "whole steps are told again",
      );
      assert.equal(traffic.add({ step_s: 5, totals: [], arms: {} }), true, "quiet");
      const steps = traffic.steps("totals", "", { ...span, end: 1020 });
      assert.equal(steps[1].ctr, null);
      assert.equal(steps[0].entropy, null);
      assert.equal(steps[3].rate, 2.6);
      const all = summed(steps, 5);
      assert.deepEqual([all.requests, all.ctr, all.p99_ms, all.rate], [44, 0.1, 21, 2.2]);
      assert.deepEqual(traffic.names("arms"), ["spring/A"]);
    },
  ],
  [
    "schemas are read: references, parts, examples",
    async () => {
      const { exampleOf, operationsOf, propertiesOf, typeOf } = await load("openapi.js");
      const document = {
        components: {
          schemas: {
            A: {
              type: "object",
              required: ["x"],
              properties: { x: { type: "integer", minimum: 2 }, self: { $ref: "#/components/schemas/A" } },
            },
            B: {
              allOf: [
                { $ref: "#/components/schemas/A" },
                { type: "object", properties: { y: { type: ["string", "null"] } } },
              ],
            },
          },
        },
        paths: { "/a/{id}": { parameters: [{ name: "id", in: "path" }], get: { tags: ["one"] }, post: {} } },
      };
      const b = { $ref: "#/components/schemas/B" };
      assert.deepEqual(
        propertiesOf(document, b).map(([name, , required]) => [name, required]),
        [
          ["x", true],
          ["self", false],
          ["y", false],
        ],
      );
      assert.equal(typeOf(document, { type: "array", items: b }), "array of B");
      assert.equal(typeOf(document, { type: ["string", "null"] }), "string | null");
      assert.equal(exampleOf(document, b).x, 2, "what leads to itself ends");
      assert.deepEqual(
        operationsOf(document).map(([tag, , own]) => [
          tag,
          own.map(({ method, parameters }) => [method, parameters.length]),
        ]),
        [
          ["one", [["get", 1]]],
          ["other", [["post", 1]]],
        ],
      );
    },
  ],
];

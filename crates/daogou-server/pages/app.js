// The dashboard: picks the page that the address names and hands it a place to draw in.

import { ask, inWords, isAbort, Refused } from "./api.js";
import { mount as catalogue } from "./catalogue.js";
import { add, h, show } from "./dom.js";
import { mount as experiments } from "./experiments.js";
import { t } from "./language.js";
import { mount as lists } from "./lists.js";
import { mount as live } from "./live.js";
import { mount as models } from "./models.js";
import { frame } from "./shell.js";
import { listen, onEvent } from "./stream.js";
import { mount as tradeOffs } from "./trade-offs.js";
import { mount as users } from "./users.js";

const PAGES = { lists, "trade-offs": tradeOffs, models, live, experiments, catalogue, users };

let parts = null;
let leave = null;

/** `#/name?a=b` as name and values. */
function address() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path in PAGES ? path : "lists", values: new URLSearchParams(query) };
}

async function open(first) {
  leave?.abort();
  leave = new AbortController();
  const { signal } = leave;
  const { name, values } = address();
  for (const [own, link] of parts.links) {
    if (own === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  parts.links.get(name).scrollIntoView({ block: "nearest", inline: "center" });
  document.title = `${t(`nav.${name}`)} · daogou`;
  const heading = h("h1", { tabindex: "-1" }, t(`nav.${name}`));
  const body = h("div", { class: "page" });
  show(parts.main, h("div", { class: "page-head" }, heading, h("p", { class: "lead" }, t(`${name}.lead`))), body);
  if (!first) {
    scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
  try {
    await PAGES[name]({ body, values, signal });
  } catch (error) {
    if (isAbort(error) || signal.aborted) return;
    if (!(error instanceof Refused)) console.error(error);
    show(
      body,
      broken(error, () => open(false)),
    );
  }
}

/** A page that could not be shown: why, and a next step. */
function broken(error, retry) {
  const again = h("button", { type: "button", class: "button primary", on: { click: retry } }, t("error.again"));
  return h("div", { class: "empty", role: "alert" }, h("h2", {}, t("error.title")), h("p", {}, inWords(error)), again);
}

async function aboutServer() {
  try {
    const [me, models] = await Promise.all([ask("GET", "/v1/me"), ask("GET", "/v1/models")]);
    show(
      parts.serving,
      h("span", { class: "muted" }, t("serving.model")),
      " ",
      h("span", { class: "serving-name" }, models.serving ?? t("serving.none")),
    );
    add(
      parts.serving,
      h(
        "span",
        { class: "muted role" },
        me.auth ? t("serving.role", { role: t(`role.${me.role}`) }) : t("serving.open"),
      ),
    );
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    show(parts.serving, h("span", { class: "muted" }, inWords(error)));
  }
}

function draw(first) {
  parts = frame(Object.keys(PAGES), () => draw(false));
  aboutServer();
  open(first);
}

addEventListener("hashchange", () => open(false));
onEvent("models", new AbortController().signal, aboutServer);
draw(true);
listen();

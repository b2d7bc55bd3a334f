// Users: search, what is known of one, what happened lately, and their list.

import { ask, inWords } from "./api.js";
import { browse, heading, opener } from "./browser.js";
import { editor } from "./catalogue.js";
import { openDialog } from "./dialog.js";
import { h } from "./dom.js";
import { named, t } from "./language.js";
import { done } from "./notices.js";
import { ago, count, moment } from "./numbers.js";

export async function mount({ body, values, signal }) {
  const pages = await browse({
    body,
    signal,
    route: "users",
    label: t("users.search"),
    head: [t("users.id"), t("users.source")],
    path: (query, limit, offset) => `/v1/users?${new URLSearchParams({ query, limit, offset })}`,
    pick: ({ users }) => users,
    row: (user, open) =>
      h("tr", {}, h("th", { scope: "row" }, opener(user.id, user.id, open)), h("td", {}, t(`source.${user.source}`))),
    detail: async (id, detailSignal) =>
      userPanel(await ask("GET", `/v1/users/${encodeURIComponent(id)}`, { signal: detailSignal }), () => pages),
    chosen: values.get("id"),
  });
}

function userPanel(user, pages) {
  const path = `/v1/users/${encodeURIComponent(user.id)}`;
  const remove = h("button", { type: "button", class: "button" }, t("users.delete"));
  remove.addEventListener("click", async () => {
    const gone = await openDialog({
      title: t("users.delete.title", { id: user.id }),
      body: h("p", {}, t("users.delete.why")),
      action: t("users.delete"),
      danger: true,
      say: inWords,
      submit: () => ask("DELETE", path).then(() => true),
    });
    if (!gone) return;
    done(t("users.deleted", { id: user.id }));
    await Promise.all([pages().reload(), pages().open(null)]);
  });
  const recent = user.recent ?? [];
  const events = recent.map(({ type, item, title, timestamp }) =>
    h(
      "li",
      {},
      h("span", { class: `event-type ${type === "purchase" ? "strong" : ""}` }, named("event", type)),
      h("a", { href: `#/catalogue?id=${encodeURIComponent(item)}` }, h("bdi", {}, title || item)),
      h("time", { datetime: new Date(timestamp * 1000).toISOString(), title: moment(timestamp) }, ago(timestamp)),
    ),
  );
  return h(
    "section",
    { class: "panel" },
    h(
      "div",
      { class: "figure-head" },
      heading(user.id),
      h("a", { class: "button primary", href: `#/lists?user=${encodeURIComponent(user.id)}` }, t("users.list")),
    ),
    h(
      "p",
      { class: "small muted" },
      t(`source.${user.source}`),
      typeof user.seen === "number" ? ` · ${t("users.seen", { n: count(user.seen) })}` : "",
    ),
    editor(path, user.attributes ?? {}, () => Promise.all([pages().reload(), pages().open(user.id, { focus: false })])),
    h("h3", {}, t("users.recent")),
    events.length ? h("ol", { class: "events" }, events) : h("p", { class: "muted" }, t("users.recent.none")),
    h("div", { class: "danger-zone" }, remove),
  );
}

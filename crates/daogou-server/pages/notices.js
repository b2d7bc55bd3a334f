// Short messages: what was done, or why it was not. Read out, and gone by themselves unless they are about a failure.

import { h, show } from "./dom.js";
import { t } from "./language.js";
import { inWords, isAbort } from "./api.js";

const region = h("div", { class: "notices", role: "status", "aria-live": "polite" });
const alerts = h("div", { class: "notices", role: "alert" });

/** Where they appear; put into the page once. */
export const noticeRegions = () => h("div", { class: "notice-stack" }, region, alerts);

function notice(where, text, stays) {
  const close = h("button", { type: "button", class: "quiet", "aria-label": t("notice.close") }, "×");
  const element = h("p", { class: stays ? "notice failed" : "notice" }, h("span", {}, text), close);
  close.addEventListener("click", () => element.remove());
  show(where, element);
  if (!stays) setTimeout(() => element.remove(), 6000);
}

/** Says that something was done. */
export const done = (text) => {
  alerts.replaceChildren();
  notice(region, text, false);
};

/** Says why something failed, unless it was given up on purpose. */
export function failed(error) {
  if (!isAbort(error)) notice(alerts, inWords(error), true);
}

// Asks for the API key when the server wants one.

import { openDialog } from "./dialog.js";
import { h, unique } from "./dom.js";
import { t } from "./language.js";

/** The key, or `null`. `refused`: whether the last one was not accepted. */
export function askForKey(refused) {
  const id = unique("key");
  const input = h("input", { id, type: "password", autocomplete: "current-password", spellcheck: "false" });
  const body = [
    h("p", {}, t(refused ? "key.refused" : "key.why")),
    h("label", { for: id }, t("key.label")),
    input,
    h("p", { class: "small muted" }, t("key.kept")),
  ];
  return openDialog({
    title: t("key.title"),
    body,
    action: t("key.use"),
    submit: () => {
      const key = input.value.trim();
      if (!key) throw new Error(t("key.empty"));
      return key;
    },
  });
}

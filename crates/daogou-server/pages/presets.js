// Saving weights under a name, from wherever weights are.

import { ask, inWords } from "./api.js";
import { openDialog } from "./dialog.js";
import { h, unique } from "./dom.js";
import { named, t } from "./language.js";
import { done } from "./notices.js";
import { short } from "./numbers.js";

/** Weights in words: “click 1 · purchase 3 · explore 0.1”. */
export function weightsInWords(objectives, explore) {
  const parts = Object.entries(objectives ?? {})
    .filter(([, w]) => w !== 0)
    .map(([name, w]) => `${named("objective", name)} ${short(w)}`);
  if (explore) parts.push(`${t("objective.explore")} ${short(explore)}`);
  return parts.join(" · ") || t("preset.nothing");
}

/**
 * Asks for a name and saves; gives the name, or `null`. `known`: names that exist, which are replaced only
 * knowingly.
 */
export async function savePreset({ objectives, explore, known = [] }) {
  const id = unique("preset");
  const input = h("input", { id, type: "text", autocomplete: "off", spellcheck: "false", maxlength: "64" });
  let warned = null;
  const name = await openDialog({
    title: t("preset.save"),
    body: [h("p", {}, weightsInWords(objectives, explore)), h("label", { for: id }, t("preset.name")), input],
    action: t("preset.save.action"),
    say: inWords,
    submit: async () => {
      const name = input.value.trim();
      if (!name) throw new Error(t("preset.noname"));
      if (known.includes(name) && warned !== name) {
        warned = name;
        throw new Error(t("preset.exists", { name }));
      }
      await ask("PUT", `/v1/presets/${encodeURIComponent(name)}`, { body: { objectives, explore } });
      return name;
    },
  });
  if (name) done(t("preset.saved", { name }));
  return name;
}

/** Asks whether, and deletes. */
export async function deletePreset(name) {
  const gone = await openDialog({
    title: t("preset.delete.title", { name }),
    body: h("p", {}, t("preset.delete.why")),
    action: t("preset.delete"),
    danger: true,
    say: inWords,
    submit: async () => {
      await ask("DELETE", `/v1/presets/${encodeURIComponent(name)}`);
    },
  });
  if (gone) done(t("preset.deleted", { name }));
  return Boolean(gone);
}

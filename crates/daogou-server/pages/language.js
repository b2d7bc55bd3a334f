// The language of the page: English or Chinese, that of the browser until somebody chooses.

import { en } from "./words-en.js";
import { zh } from "./words-zh.js";

const STORED = "daogou-language";
const WORDS = { en, zh };

function first() {
  try {
    const stored = localStorage.getItem(STORED);
    if (stored in WORDS) return stored;
  } catch {
    // Storage is refused: the browser's language decides.
  }
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

let current = first();

/** `en` or `zh`. */
export const language = () => current;

/** For `Intl` and the `lang` attribute. */
export const locale = () => (current === "zh" ? "zh-CN" : "en-GB");

/** Changes it, for this visit and the next. */
export function speak(code) {
  current = code;
  try {
    localStorage.setItem(STORED, code);
  } catch {
    // For this visit only.
  }
}

/**
 * A text: `t("lists.entered", { place })`. `{name}` stands for a value; where a count bends words, the entry is a
 * function.
 */
export function t(key, values = {}) {
  const entry = WORDS[current][key];
  if (entry === undefined) {
    console.error(`no words for ${key} in ${current}`);
    return key;
  }
  if (typeof entry === "function") return entry(values);
  return entry.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** A text that ends as a sentence does. */
export const sentence = (text) => (/[.!?。！？]$/.test(text) ? text : text + t("stop"));

/** A text for a name out of an answer, such as an objective's; the name itself where there is none. */
export function named(prefix, name) {
  const key = `${prefix}.${name}`;
  return key in WORDS[current] ? t(key) : String(name);
}

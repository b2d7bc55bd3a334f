// Numbers, shares, times as people read them. What is not defined is a dash.

import { locale, t } from "./language.js";

const NONE = "–";
const defined = (value) => typeof value === "number" && Number.isFinite(value);

/** So many digits after the point. */
export function fixed(value, digits = 3) {
  if (!defined(value)) return NONE;
  return value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** As many digits as count, three of them. */
export function short(value) {
  if (!defined(value)) return NONE;
  if (value !== 0 && Math.abs(value) < 0.0005) return value.toExponential(1);
  return value.toLocaleString(locale(), { maximumSignificantDigits: 3 });
}

/** A whole number. */
export function count(value) {
  return defined(value) ? Math.round(value).toLocaleString(locale()) : NONE;
}

/** A share as a percentage: two digits that count, unless told otherwise. */
export function percent(value, digits) {
  if (!defined(value)) return NONE;
  const d = digits ?? (Math.abs(value) < 0.0995 ? 1 : 0);
  return value.toLocaleString(locale(), { style: "percent", minimumFractionDigits: d, maximumFractionDigits: d });
}

/** With its sign, for differences. */
export function signed(value, digits = 3) {
  if (!defined(value)) return NONE;
  const text = fixed(Math.abs(value), digits);
  return /[1-9]/.test(text) ? (value < 0 ? "−" : "+") + text : text;
}

/** The same as a percentage. */
export function signedPercent(value, digits = 1) {
  if (!defined(value)) return NONE;
  const text = percent(Math.abs(value), digits);
  return /[1-9]/.test(text) ? (value < 0 ? "−" : "+") + text : text;
}

/** A price: no cents where there are none. */
export function price(value) {
  if (!defined(value)) return NONE;
  return value.toLocaleString(locale(), {
    minimumFractionDigits: Number.isInteger(value) ? 0 : 2,
    maximumFractionDigits: 2,
  });
}

/** Day and minute of Unix seconds, or of a time as RFC 3339 writes it. */
export function moment(time) {
  const seconds = typeof time === "string" ? Date.parse(time) / 1000 : time;
  if (!defined(seconds)) return NONE;
  return new Date(seconds * 1000).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "short" });
}

/** Hour, minute and second of Unix seconds. */
export function clock(seconds, withSeconds = true) {
  if (!defined(seconds)) return NONE;
  const style = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (withSeconds) style.second = "2-digit";
  return new Date(seconds * 1000).toLocaleTimeString(locale(), style);
}

/** How long ago, coarsely. */
export function ago(seconds, now = Date.now() / 1000) {
  if (!defined(seconds)) return NONE;
  const passed = Math.max(0, now - seconds);
  const relative = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  if (passed < 90) return t("time.now");
  if (passed < 90 * 60) return relative.format(-Math.round(passed / 60), "minute");
  if (passed < 36 * 3600) return relative.format(-Math.round(passed / 3600), "hour");
  return relative.format(-Math.round(passed / 86400), "day");
}

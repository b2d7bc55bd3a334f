// Two lists compared: what entered, left and moved, and what speaks for it.

/** Objectives in the order in which they are drawn, with the number of their colour. */
export const OBJECTIVES = ["click", "purchase", "diversity", "novelty", "revenue", "bonus"];

/** An item's contributions as `[name, value]`, those that are defined. */
export function contributions(item) {
  const own = item.contributions ?? {};
  const names = [...OBJECTIVES, ...Object.keys(own).filter((name) => !OBJECTIVES.includes(name))];
  return names.filter((name) => typeof own[name] === "number").map((name) => [name, own[name]]);
}

const total = (item) => contributions(item).reduce((sum, [, value]) => sum + value, 0);

/** What gains most from an item: `{ name, value, total }`, or `null` without contributions. */
export function mainReason(item) {
  const own = contributions(item);
  if (own.length === 0) return null;
  const [name, value] = own.reduce((best, part) => (part[1] > best[1] ? part : best));
  return { name, value, total: total(item) };
}

/** The contribution that changed most between two looks at an item: `{ name, value }`, or `null` where none did. */
function shift(before, now) {
  const was = Object.fromEntries(contributions(before));
  let most = null;
  for (const [name, value] of contributions(now)) {
    const change = value - (was[name] ?? 0);
    if (!most || Math.abs(change) > Math.abs(most.value)) most = { name, value: change };
  }
  return most && Math.abs(most.value) >= 0.00005 ? most : null;
}

/** All differences, in the order of places: `{ entered, left, moved, stayed }`; places count from 1. */
export function compare(before, now) {
  const places = new Map(before.map((item, i) => [item.item_id, i]));
  const here = new Set(now.map((item) => item.item_id));
  const [entered, moved] = [[], []];
  let stayed = 0;
  now.forEach((item, i) => {
    const was = places.get(item.item_id);
    if (was === undefined) entered.push({ item, place: i + 1, reason: mainReason(item) });
    else if (was === i) stayed += 1;
    else moved.push({ item, place: i + 1, was: was + 1, shift: shift(before[was], item) });
  });
  const left = before
    .map((item, i) => ({ item, was: i + 1, reason: mainReason(item) }))
    .filter(({ item }) => !here.has(item.item_id));
  return { entered, left, moved, stayed };
}

// Points of a sweep (`daogou pareto --format json`) on two of its axes, without drawing them.

/** Whether more of it is better. */
export const isGain = (axis) => axis !== "kl";

const gain = (axis, value) => (isGain(axis) ? value : -value);

/** The mean on an axis; `null` where it is not measured. */
export const mean = (point, axis) => point.values[axis]?.mean ?? null;

/** Points of what the run would serve: its own heads, and the builder that finds the best list. */
export const isOwn = (point) =>
  point.heads === "trained" && (point.builder === "auto" || point.builder === "exact") && (point.dial ?? null) === null;

/** Indices of those that no other beats on two axes, from left to right. */
export function bestOn(points, among, x, y) {
  const defined = among.filter((i) => mean(points[i], x) !== null && mean(points[i], y) !== null);
  const beats = (a, b) => {
    const [ax, ay, bx, by] = [gain(x, mean(a, x)), gain(y, mean(a, y)), gain(x, mean(b, x)), gain(y, mean(b, y))];
    return ax >= bx && ay >= by && (ax > bx || ay > by);
  };
  return defined
    .filter((i) => !defined.some((j) => beats(points[j], points[i])))
    .sort((a, b) => mean(points[a], x) - mean(points[b], x));
}

/** Axes that the run's own points measure, in a fixed order. */
export function axesOf(sweep) {
  const order = ["click", "purchase", "revenue", "diversity", "kl", "novelty", "entropy", "exposure"];
  const own = sweep.points.find(isOwn) ?? sweep.points[0];
  const names = Object.keys(own?.values ?? {});
  return [...order.filter((axis) => names.includes(axis)), ...names.filter((axis) => !order.includes(axis))];
}

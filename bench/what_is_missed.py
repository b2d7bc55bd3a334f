"""What a trained click head does not know of a simulated shop: where its distance from the truth comes from.

    daogou simulate --users 5000 --items 3000 --requests 200000 --seed 1 --out shop
    pip install numpy pandas pyarrow
    python bench/what_is_missed.py split shop      # writes shop/first.parquet, 90 % in time, and shop/rest.parquet
    daogou train shop/daogou.toml --run-dir run --set data.impressions='["first.parquet"]' \
      --set data.split.train=0.9 --set data.split.test=0
    daogou predict run --input shop/rest.parquet --output answers.parquet
    python bench/what_is_missed.py tell shop answers.parquet

What a person did in the rest is not told to the head, so it knows a little less than in an evaluation. With `r` the true logit of a click, position left out, less the head's
logit, the covariance of `r` over pairs of impressions that have only something in common is the variance of what is missed
about that: two people and one item, one person and one category in two visits, and so on. What is left is about one person
and one item. Shares are of the variance of `r`.
"""

import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

PAIRS = 4_000_000


def logit(p):
    p = np.clip(np.asarray(p, dtype=np.float64), 1e-9, 1 - 1e-9)
    return np.log(p / (1 - p))


def expected_auc(score, p):
    """AUC over the draw of labels: pairs of a click and none, weighted by their probabilities."""
    order = np.argsort(score, kind="stable")
    p = p[order]
    none_below = np.concatenate([[0.0], np.cumsum(1 - p)[:-1]])
    # A row is no pair with itself.
    pairs = p.sum() * (1 - p).sum() - (p * (1 - p)).sum()
    return (p * none_below).sum() / pairs


def split(shop):
    rows = pq.read_table(f"{shop}/impressions.parquet")
    at = int(0.9 * rows.num_rows)
    # Requests stay whole.
    requests = rows["request_id"]
    while requests[at] == requests[at - 1]:
        at += 1
    pq.write_table(rows.slice(0, at), f"{shop}/first.parquet")
    pq.write_table(rows.slice(at), f"{shop}/rest.parquet")


def tell(shop, answers):
    rows = pd.read_parquet(answers, columns=["request_id", "user_id", "item_id", "p_click"])
    truth = pd.read_parquet(f"{shop}/oracle.parquet", columns=["request_id", "item_id", "p_click_relevance"])
    truth = truth.tail(len(rows)).reset_index(drop=True)
    if not (rows.request_id.equals(truth.request_id) and rows.item_id.equals(truth.item_id)):
        raise SystemExit("expected the rows of the oracle in the order of the answers")
    rows["true"] = logit(truth.p_click_relevance)
    rows["score"] = logit(rows.p_click)
    rows = rows.merge(pd.read_parquet(f"{shop}/items.parquet", columns=["item_id", "category", "brand"]), on="item_id")

    # The scale of a score is calibration, not knowledge.
    slope, intercept = np.polyfit(rows.score, rows.true, 1)
    r = (rows.true - slope * rows.score - intercept).to_numpy()
    known = 1 - r.var() / rows.true.var()
    p = 1 / (1 + np.exp(-rows.true.to_numpy()))
    best, own = expected_auc(rows.true.to_numpy(), p), expected_auc(rows.score.to_numpy(), p)
    print(f"{len(rows)} impressions of {rows.request_id.nunique()} requests")
    print(f"AUC without position: {own:.4f} of {best:.4f}, {100 * (own - 0.5) / (best - 0.5):.1f} % of the gap closed")
    print(f"variance of the true logit {rows.true.var():.4f}; {100 * known:.1f} % is told by the head, missed: {r.var():.4f}")

    code = {c: pd.factorize(rows[c])[0] for c in ["user_id", "item_id", "category", "brand", "request_id"]}
    random = np.random.default_rng(1)

    def pairs(column):
        """Random pairs of rows with the same value of a column."""
        order = np.argsort(code[column], kind="stable")
        sizes = np.bincount(code[column])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        group = random.choice(len(sizes), PAIRS, p=sizes / sizes.sum())
        pick = lambda: order[starts[group] + (random.random(PAIRS) * sizes[group]).astype(np.int64)]
        return pick(), pick()

    def covariance(column, **wanted):
        a, b = pairs(column)
        keep = a != b
        for name, same in wanted.items():
            keep &= (code[name][a] == code[name][b]) == same
        product = r[a[keep]] * r[b[keep]]
        return product.mean() - r.mean() ** 2, 1.96 * product.std() / np.sqrt(keep.sum()), int(keep.sum())

    item = covariance("item_id", user_id=False)
    person = covariance("user_id", request_id=False, category=False, brand=False)
    category = covariance("user_id", request_id=False, category=True, brand=False)
    brand = covariance("user_id", request_id=False, category=False, brand=True)
    visit = covariance("request_id", category=False, brand=False)
    wish = covariance("request_id", category=True, brand=False)
    total = r.var()
    found = [
        ("the item, to everybody", item[0]),
        ("the person, whatever the item", person[0]),
        ("the person and the category", category[0] - person[0]),
        ("the person and the brand", brand[0] - person[0]),
        ("this visit, whatever the item", visit[0] - person[0]),
        ("this visit and the category", wish[0] - visit[0] - (category[0] - person[0])),
    ]
    found.append(("the person and this item", total - sum(value for _, value in found)))
    for name, value in found:
        print(f"{name:32} {100 * value / total:6.1f} %")
    least = min(c[2] for c in [item, person, category, brand, visit, wish])
    widest = max(c[1] for c in [item, person, category, brand, visit, wish])
    print(f"each covariance is of at least {least} pairs; half a 95 % interval is at most {100 * widest / total:.1f} %")


if __name__ == "__main__":
    {"split": split, "tell": tell}[sys.argv[1]](*sys.argv[2:])

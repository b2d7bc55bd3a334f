"""Captures what PyTorch makes of the founding document's network, for crates/daogou/tests/parity.rs.

    pip install torch safetensors && python tests/parity/make_capture.py

Writes rows.csv (the data), initial.safetensors, sgd.safetensors and adam.safetensors (weights before and after 20 steps on
all rows at once) and logits.csv (logits of the initial weights, one line per row).
"""

import csv
import os
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
USERS, ITEMS, BRANDS, CATEGORIES, ROWS, STEPS = 12, 9, 4, 5, 96, 20


class MultiTaskModel(nn.Module):
    """The founding document's class."""

    def __init__(self, num_users, num_items, num_brands, num_categories):
        super().__init__()
        self.user_embed = nn.Embedding(num_users, 32)
        self.item_embed = nn.Embedding(num_items, 32)
        self.brand_embed = nn.Embedding(num_brands, 16)
        self.shared_net = nn.Sequential(nn.Linear(32 + 32 + 16 + 1, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU())
        self.ctr_head = nn.Linear(64, 1)
        self.cvr_head = nn.Linear(64, 1)
        self.div_head = nn.Linear(64, num_categories)

    def forward(self, user_ids, item_ids, brands, prices):
        x = torch.cat(
            [self.user_embed(user_ids), self.item_embed(item_ids), self.brand_embed(brands), prices.unsqueeze(1)], dim=1
        )
        shared = self.shared_net(x)
        return self.ctr_head(shared), self.cvr_head(shared), self.div_head(shared)


def rows():
    rng = random.Random(7)
    brand = [rng.randrange(BRANDS) for _ in range(ITEMS)]
    price = [round(rng.uniform(-1, 1), 3) for _ in range(ITEMS)]
    category = [rng.randrange(CATEGORIES) for _ in range(ITEMS)]
    for c in range(CATEGORIES):
        category[c] = c
    out = []
    for _ in range(ROWS):
        user, item = rng.randrange(USERS), rng.randrange(ITEMS)
        click = int(rng.random() < 0.4)
        bought = int(click and rng.random() < 0.4)
        out.append([f"u{user}", f"i{item}", f"b{brand[item]}", price[item], click, bought, f"c{category[item]}"])
    return out


def codes(values):
    """1 + order of first appearance; 0 is kept for the unknown."""
    seen = {}
    return torch.tensor([seen.setdefault(v, len(seen) + 1) for v in values]), len(seen) + 1


def main():
    table = rows()
    with open(os.path.join(HERE, "rows.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "brand", "price", "click", "purchase", "category"])
        writer.writerows(table)
    columns = list(zip(*table))
    (users, n_users), (items, n_items), (brands, n_brands) = map(codes, columns[:3])
    prices = torch.tensor([float(p) for p in columns[3]])
    clicks = torch.tensor([float(c) for c in columns[4]]).unsqueeze(1)
    bought = torch.tensor([float(c) for c in columns[5]]).unsqueeze(1)
    # Categories are numbered by falling number of rows, then by name.
    names = sorted(set(columns[6]), key=lambda c: (-columns[6].count(c), c))
    category = torch.tensor([names.index(c) for c in columns[6]])

    torch.manual_seed(3)
    start = MultiTaskModel(n_users, n_items, n_brands, len(names)).state_dict()
    start = {name: value.clone() for name, value in start.items()}
    save_file(start, os.path.join(HERE, "initial.safetensors"))

    def model():
        made = MultiTaskModel(n_users, n_items, n_brands, len(names))
        made.load_state_dict(start)
        return made

    with torch.no_grad():
        logits = torch.cat(model()(users, items, brands, prices), dim=1)
    with open(os.path.join(HERE, "logits.csv"), "w", newline="") as file:
        csv.writer(file).writerows([[f"{z:.9g}" for z in row] for row in logits.tolist()])

    for name, optimizer in [
        ("sgd", lambda p: torch.optim.SGD(p, lr=0.05)),
        ("adam", lambda p: torch.optim.Adam(p, lr=1e-3)),
    ]:
        trained = model()
        step = optimizer(trained.parameters())
        for _ in range(STEPS):
            ctr, cvr, div = trained(users, items, brands, prices)
            loss = (
                F.binary_cross_entropy_with_logits(ctr, clicks)
                + F.binary_cross_entropy_with_logits(cvr, bought)
                + F.cross_entropy(div, category)
            )
            step.zero_grad()
            loss.backward()
            step.step()
        save_file(trained.state_dict(), os.path.join(HERE, f"{name}.safetensors"))


if __name__ == "__main__":
    main()

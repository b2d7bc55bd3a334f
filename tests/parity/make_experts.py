"""Captures what plain PyTorch makes of MMoE and PLE, for crates/daogou/tests/parity.rs.

    pip install torch safetensors && python tests/parity/make_experts.py

Both are written as their papers have them, on the inputs of a network of two levels: experts that read the user, and
experts that read what the first let through, the item, and the product of both projections. MMoE's purchase is ESMM's
(cross-entropy of pCTR·pCVR), PLE's is asked about clicked rows. For each, `{name}_initial.safetensors`,
`{name}_sgd.safetensors` and `{name}_adam.safetensors` hold weights before and after 20 steps on all rows of rows.csv at
once, and `{name}_logits.csv` the logits of the initial weights, one line per row.
"""

import csv
import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from make_capture import HERE, STEPS, codes, rows
from safetensors.torch import save_file

DIM, REQUEST, SHARED, TOWER = 8, [12], [16, 10], 6


def mlp(inputs, units):
    layers = []
    for width in units:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers)


def mixture(gate, x, experts):
    weights = torch.softmax(gate(x), dim=1)
    return (weights.unsqueeze(2) * torch.stack(experts, dim=1)).sum(dim=1)


class Inputs(nn.Module):
    """Embeddings, the product of the user's and the item's projection, towers and heads."""

    def __init__(self, users, items, brands):
        super().__init__()
        self.user_embed = nn.Embedding(users, DIM)
        self.item_embed = nn.Embedding(items, DIM)
        self.brand_embed = nn.Embedding(brands, DIM)
        self.request_projection = nn.Linear(DIM, 2 * DIM)
        self.item_projection = nn.Linear(2 * DIM + 1, 2 * DIM)
        for task in ["ctr", "cvr"]:
            setattr(self, f"{task}_tower", mlp(SHARED[-1], [TOWER]))
            setattr(self, f"{task}_head", nn.Linear(TOWER, 1))

    def forward(self, users, items, brands, prices):
        user = self.user_embed(users)
        item = torch.cat([self.item_embed(items), self.brand_embed(brands), prices.unsqueeze(1)], dim=1)
        common = self.request_projection(user) * self.item_projection(item)
        (request,) = self.level("request_", user)
        click, purchase = self.level("", torch.cat([request, item, common], dim=1))
        return self.ctr_head(self.ctr_tower(click)), self.cvr_head(self.cvr_tower(purchase))


class Mmoe(Inputs):
    EXPERTS = 3

    def __init__(self, *sizes):
        super().__init__(*sizes)
        width = REQUEST[-1] + 2 * DIM + 1 + 2 * DIM
        for prefix, inputs, units, readers in [
            ("request_", DIM, REQUEST, ["impressions"]),
            ("", width, SHARED, ["click", "purchase"]),
        ]:
            setattr(self, f"{prefix}experts", nn.ModuleList(mlp(inputs, units) for _ in range(self.EXPERTS)))
            gates = nn.ModuleDict({reader: nn.Linear(inputs, self.EXPERTS) for reader in readers})
            setattr(self, f"{prefix}gates", gates)

    def level(self, prefix, x):
        experts = [expert(x) for expert in getattr(self, f"{prefix}experts")]
        return [mixture(gate, x, experts) for gate in getattr(self, f"{prefix}gates").values()]


class PleLevel(nn.Module):
    OWN, SHARED = 2, 1

    def __init__(self, inputs, units, readers, last):
        super().__init__()
        self.readers = readers
        experts = lambda n: nn.ModuleList(mlp(inputs, units) for _ in range(n))
        self.task_experts = nn.ModuleDict({reader: experts(self.OWN) for reader in readers})
        self.shared_experts = experts(self.SHARED)
        count = self.OWN + self.SHARED
        self.gates = nn.ModuleDict({reader: nn.Linear(inputs, count) for reader in readers})
        self.shared_gate = None if last else nn.Linear(inputs, len(readers) * self.OWN + self.SHARED)

    def forward(self, own, shared):
        of_all = [expert(shared) for expert in self.shared_experts]
        of_tasks = [[expert(x) for expert in self.task_experts[reader]] for reader, x in zip(self.readers, own)]
        read = [
            mixture(self.gates[reader], x, experts + of_all) for reader, x, experts in zip(self.readers, own, of_tasks)
        ]
        if self.shared_gate is None:
            return read, None
        return read, mixture(self.shared_gate, shared, sum(of_tasks, []) + of_all)


class Ple(Inputs):
    LEVELS = 2

    def __init__(self, *sizes):
        super().__init__(*sizes)
        width = REQUEST[-1] + 2 * DIM + 1 + 2 * DIM
        for prefix, inputs, units, readers in [
            ("request_", DIM, REQUEST, ["impressions"]),
            ("", width, SHARED, ["click", "purchase"]),
        ]:
            levels = [
                PleLevel(inputs if depth == 0 else units[-1], units, readers, depth + 1 == self.LEVELS)
                for depth in range(self.LEVELS)
            ]
            setattr(self, f"{prefix}levels", nn.ModuleList(levels))

    def level(self, prefix, x):
        levels = getattr(self, f"{prefix}levels")
        own, shared = [x] * len(levels[0].readers), x
        for level in levels:
            own, shared = level(own, shared)
        return own


def esmm(ctr, cvr, clicks, bought):
    joint = torch.sigmoid(ctr) * torch.sigmoid(cvr)
    return F.binary_cross_entropy_with_logits(ctr, clicks) + F.binary_cross_entropy(joint, bought)


def click_space(ctr, cvr, clicks, bought):
    losses = F.binary_cross_entropy_with_logits(cvr, bought, reduction="none")
    return F.binary_cross_entropy_with_logits(ctr, clicks) + (losses * clicks).sum() / clicks.sum()


def main():
    columns = list(zip(*rows()))
    (users, n_users), (items, n_items), (brands, n_brands) = map(codes, columns[:3])
    prices = torch.tensor([float(p) for p in columns[3]])
    clicks = torch.tensor([float(c) for c in columns[4]]).unsqueeze(1)
    bought = torch.tensor([float(c) for c in columns[5]]).unsqueeze(1)
    for name, kind, loss_of in [("mmoe", Mmoe, esmm), ("ple", Ple, click_space)]:
        torch.manual_seed(3)
        made = kind(n_users, n_items, n_brands)
        with torch.no_grad():
            # As PyTorch starts them, gates are nearly even and embeddings hardly move.
            for linear in (module for module in made.modules() if isinstance(module, nn.Linear)):
                linear.weight.mul_(2.5)
        start = {key: value.clone() for key, value in made.state_dict().items()}
        save_file(start, os.path.join(HERE, f"{name}_initial.safetensors"))
        with torch.no_grad():
            logits = torch.cat(made(users, items, brands, prices), dim=1)
        with open(os.path.join(HERE, f"{name}_logits.csv"), "w", newline="") as file:
            csv.writer(file).writerows([[f"{z:.9g}" for z in row] for row in logits.tolist()])
        for optimizer, step_of in [
            ("sgd", lambda p: torch.optim.SGD(p, lr=0.05)),
            ("adam", lambda p: torch.optim.Adam(p, lr=1e-3)),
        ]:
            trained = kind(n_users, n_items, n_brands)
            trained.load_state_dict(start)
            step = step_of(trained.parameters())
            for _ in range(STEPS):
                loss = loss_of(*trained(users, items, brands, prices), clicks, bought)
                step.zero_grad()
                loss.backward()
                step.step()
            save_file(trained.state_dict(), os.path.join(HERE, f"{name}_{optimizer}.safetensors"))


if __name__ == "__main__":
    main()

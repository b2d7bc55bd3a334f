"""What both scorers compute: click and purchase of items by id for one person, by the network that NETWORK names."""

import os

import numpy as np
import onnxruntime

USERS, ITEMS, BRANDS = 100_000, 10_000, 100

options = onnxruntime.SessionOptions()
# Processes share the cores; threads inside of a request of this size only get in each other's way.
options.intra_op_num_threads = int(os.environ.get("THREADS", "1"))
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(
    os.environ.get("NETWORK", "network.onnx"), options, providers=["CPUExecutionProvider"]
)

random = np.random.default_rng(1)
brands = random.integers(0, BRANDS, ITEMS)
prices = random.random(ITEMS, dtype=np.float32)
item_rows = {f"i{row:05d}": row for row in range(ITEMS)}


def score(user, candidates):
    """Probabilities of click and of purchase; an unknown item is a KeyError, a strange user a ValueError."""
    rows = np.fromiter((item_rows[item] for item in candidates), np.int64, len(candidates))
    number = int(user[1:]) % USERS
    feed = {
        "u": np.full(len(rows), number, np.int64),
        "i": rows,
        "b": brands[rows],
        "p": prices[rows],
    }
    click, purchase = session.run(["c", "v"], feed)
    return click[:, 0], purchase[:, 0]

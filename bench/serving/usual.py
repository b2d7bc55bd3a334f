"""The same as scorer.py, written as the documentation of FastAPI has it: models for what comes in and goes out, a plain
function that the framework runs on a thread, items in order with a score.

    NETWORK=network.onnx uvicorn usual:app --port 8791 --workers 2 --no-access-log
"""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

USERS, ITEMS, BRANDS = 100_000, 10_000, 100
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(os.environ.get("THREADS", "1"))
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(
    os.environ.get("NETWORK", "network.onnx"), options, providers=["CPUExecutionProvider"]
)
random = np.random.default_rng(1)
brands = random.integers(0, BRANDS, ITEMS)
prices = random.random(ITEMS, dtype=np.float32)
item_rows = {f"i{row:05d}": row for row in range(ITEMS)}

app = FastAPI()


class Ask(BaseModel):
    user: str
    candidates: list[str]


class Item(BaseModel):
    item_id: str
    score: float
    click: float
    purchase: float


class Answer(BaseModel):
    items: list[Item]


@app.post("/v1/rank")
def rank(ask: Ask) -> Answer:
    try:
        rows = np.array([item_rows[item] for item in ask.candidates])
    except KeyError as problem:
        raise HTTPException(422, f"expected known candidates, got {problem}") from problem
    n = len(rows)
    user = np.full(n, int(ask.user[1:]) % USERS)
    c, v = session.run(["c", "v"], {"u": user, "i": rows, "b": brands[rows], "p": prices[rows]})
    c, v = c[:, 0].tolist(), v[:, 0].tolist()
    score = [a + 3 * a * b for a, b in zip(c, v)]
    order = sorted(range(n), key=lambda i: -score[i])
    ids = ask.candidates
    items = [Item(item_id=ids[i], score=score[i], click=c[i], purchase=v[i]) for i in order]
    return Answer(items=items)

"""The usual way to serve such a network: FastAPI, uvicorn and ONNX Runtime. It scores and does nothing else.

    NETWORK=network.onnx uvicorn scorer:app --port 8790 --workers 2 --no-access-log

`POST /v1/rank` takes a user and candidates by id, as a daogou server does, and answers with click and purchase
probabilities in the order asked. No catalogue, no history, no list, no store.
"""

import os

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, HTTPException, Request, Response

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

app = FastAPI()


# Async on purpose: scoring takes less than handing it to a thread pool does.
@app.post("/v1/rank")
async def rank(request: Request):
    try:
        ask = orjson.loads(await request.body())
        user, candidates = ask["user"], ask["candidates"]
        rows = np.fromiter((item_rows[item] for item in candidates), np.int64, len(candidates))
        number = int(user[1:]) % USERS
    except (KeyError, TypeError, ValueError) as problem:
        raise HTTPException(422, f"expected a user and known candidates: {problem!r}") from problem
    feed = {
        "u": np.full(len(rows), number, np.int64),
        "i": rows,
        "b": brands[rows],
        "p": prices[rows],
    }
    click, purchase = session.run(["c", "v"], feed)
    body = {
        "candidates": candidates,
        "click": click[:, 0],
        "purchase": purchase[:, 0],
    }
    return Response(
        orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
    )

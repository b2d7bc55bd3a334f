"""The usual way to serve such a network: FastAPI, uvicorn and ONNX Runtime. It scores and does nothing else.

    NETWORK=network.onnx uvicorn scorer:app --port 8790 --workers 2 --no-access-log

`POST /v1/rank` takes a user and candidates by id, as a daogou server does, and answers with click and purchase
probabilities in the order asked. No catalogue, no history, no list, no store.
"""

import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from scoring import score

app = FastAPI()


# Async on purpose: scoring takes less than handing it to a thread pool does.
@app.post("/v1/rank")
async def rank(request: Request):
    try:
        ask = orjson.loads(await request.body())
        user, candidates = ask["user"], ask["candidates"]
        click, purchase = score(user, candidates)
    except (KeyError, TypeError, ValueError) as problem:
        raise HTTPException(422, f"expected a user and known candidates: {problem!r}") from problem
    body = {
        "candidates": candidates,
        "click": click,
        "purchase": purchase,
    }
    return Response(
        orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
    )

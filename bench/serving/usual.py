"""The same as scorer.py, written as the documentation of FastAPI has it: models for what comes in and goes out, a plain
function that the framework runs on a thread, items in order with a score.

    NETWORK=network.onnx uvicorn usual:app --port 8791 --workers 2 --no-access-log
"""

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel
from scoring import score as probabilities

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
        click, purchase = probabilities(ask.user, ask.candidates)
    except (KeyError, ValueError) as problem:
        raise HTTPException(422, f"expected a user and known candidates: {problem!r}") from problem
    c, v = click.tolist(), purchase.tolist()
    score = [a + 3 * a * b for a, b in zip(c, v)]
    order = sorted(range(len(score)), key=lambda i: -score[i])
    ids = ask.candidates
    items = [Item(item_id=ids[i], score=score[i], click=c[i], purchase=v[i]) for i in order]
    return Answer(items=items)

"""The same answers from FastAPI on plain uvicorn: no gate, no audit, no problem documents, no limits."""

from __future__ import annotations

import gc

from fastapi import FastAPI, Response
from pydantic_core import to_json

from vouch.features.project import home
from vouch.serving.api.handlers import lists, read
from vouch.serving.api.handlers.score import score_request
from vouch.serving.api.schemas import AdvocatesSearch, CustomerGet, ScoreRequest
from vouch.serving.api.state import ServingState

store = ServingState(home())
store.refresh()
app = FastAPI()
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 50, 50)


@app.get("/livez")
async def livez() -> dict[str, int]:
    return {}


@app.post("/v1/advocates/search")
async def search(request: AdvocatesSearch) -> Response:
    return Response(lists.candidates_page(store, request), media_type="application/json")


@app.post("/v1/customers/get")
async def get(request: CustomerGet) -> Response:
    return Response(to_json(read.get_customer(store, request)), media_type="application/json")


@app.post("/v1/score")
def score(request: ScoreRequest) -> Response:
    return Response(to_json(score_request(store, request)), media_type="application/json")

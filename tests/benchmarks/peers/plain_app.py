"""The same answers from FastAPI on plain uvicorn: no gate, no audit, no problem documents, no limits."""

from __future__ import annotations

import gc

from fastapi import FastAPI, Response
from pydantic_core import to_json

from vouch.features.project import home
from vouch.serving.api import routes_lists, routes_read, routes_score
from vouch.serving.api.schemas import AdvocatesSearch, CustomerGet, ScoreRequest
from vouch.serving.api.state import Store

store = Store(home())
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
    return Response(routes_lists.advocates(store, request), media_type="application/json")


@app.post("/v1/customers/get")
async def get(request: CustomerGet) -> Response:
    return Response(to_json(routes_read.get_customer(store, request)), media_type="application/json")


@app.post("/v1/score")
def score(request: ScoreRequest) -> Response:
    return Response(to_json(routes_score.score_request(store, request)), media_type="application/json")

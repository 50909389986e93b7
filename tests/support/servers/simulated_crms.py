"""The two CRMs as servers of our own, which enforce the rules that their makers publish.

Made from the documentation (Bulk API 2.0 guide; developers.hubspot.com; read November 2026), not recorded from a real
organisation or portal: fields and their types, one upload per job, states of jobs, failed results, batches of at most
100, bursts answered by 429 with `Retry-After`, 207 for a batch of which only some rows were taken.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from vouch.serving.exports.metadata import API_VERSION
from vouch.serving.exports.targets import FIELDS

TOKEN = "token-of-the-simulated-crm"
CLIENT = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}
MOST_CHARACTERS, MOST_UPLOAD = 255, 100_000_000
Values = dict[str, Any]


def fault_of(kind: str, value: str) -> str | None:
    """What a field of a kind does not take."""
    try:
        if kind in ("number", "whole"):
            float(value)
        elif kind in ("as_of", "instant"):
            datetime.fromisoformat(value)
        elif kind == "flag" and value not in ("true", "false"):
            return "INVALID_TYPE_ON_FIELD_IN_RECORD"
    except ValueError:
        return "INVALID_TYPE_ON_FIELD_IN_RECORD"
    return "STRING_TOO_LONG" if kind in ("text", "key") and len(value) > MOST_CHARACTERS else None


class SimulatedCrm:
    """What both have in common: records by customer, calls that are counted, and some that are refused."""

    def __init__(self, known: list[str], refuse: Callable[[int], Response | None] = lambda _: None) -> None:
        self.records: dict[str, Values] = {who: {} for who in known}
        self.refuse = refuse
        self.calls = 0
        self.paths: list[str] = []

    def guarded(self, answer: Callable[[Request, bytes], Response], *, needs_key: bool = True):
        async def endpoint(request: Request) -> Response:
            body = await request.body()
            self.calls += 1
            self.paths.append(f"{request.method} {request.url.path}")
            refused = self.refuse(self.calls)
            if refused is not None:
                return refused
            if needs_key and request.headers.get("authorization") != f"Bearer {TOKEN}":
                return JSONResponse([{"errorCode": "INVALID_SESSION_ID"}], 401)
            return answer(request, body)

        return endpoint


class SimulatedSalesforce(SimulatedCrm):
    """Bulk API 2.0 ingest, and a query page by page."""

    def __init__(self, known, refuse=lambda _: None, looks: int = 2) -> None:
        super().__init__(known, refuse)
        self.looks, self.jobs = looks, {}
        self.fields = {field.salesforce: field.kind for field in FIELDS}
        self.changes: list[Values] = []
        base = f"/services/data/v{API_VERSION}"
        jobs = f"{base}/jobs/ingest"
        self.app = Starlette(routes=[
            Route("/services/oauth2/token", self.guarded(self.token, needs_key=False), methods=["POST"]),
            Route(jobs, self.guarded(self.create), methods=["POST"]),
            Route(jobs + "/{job}", self.guarded(self.job), methods=["GET", "PATCH"]),
            Route(jobs + "/{job}/batches", self.guarded(self.upload), methods=["PUT"]),
            Route(jobs + "/{job}/{part}", self.guarded(self.results), methods=["GET"]),
            Route(base + "/query", self.guarded(self.query), methods=["GET"]),
        ])  # fmt: skip

    def token(self, request: Request, body: bytes) -> Response:
        given = dict(part.split("=") for part in body.decode().split("&"))
        return JSONResponse({"access_token": TOKEN}) if given == CLIENT else JSONResponse({"error": "x"}, 400)

    def create(self, request: Request, body: bytes) -> Response:
        given = json.loads(body)
        wanted = {"operation", "externalIdFieldName", "contentType", "columnDelimiter", "lineEnding", "object"}
        if (
            given.keys() != wanted
            or given["operation"] != "upsert"
            or self.fields.get(given["externalIdFieldName"]) != "key"
        ):
            return JSONResponse([{"errorCode": "INVALIDJOB"}], 400)
        job = f"750{len(self.jobs):015d}"
        self.jobs[job] = {"state": "Open", "looks": 0, "data": None, "failed": []}
        return JSONResponse({"id": job, "state": "Open"})

    def job(self, request: Request, body: bytes) -> Response:
        job = self.jobs.get(request.path_params["job"])
        if job is None:
            return JSONResponse([{"errorCode": "NOT_FOUND"}], 404)
        if request.method == "PATCH":
            wanted = json.loads(body)["state"]
            if job["state"] != "Open" or (wanted == "UploadComplete" and job["data"] is None):
                return JSONResponse([{"errorCode": "INVALIDJOBSTATE"}], 400)
            job["state"] = wanted
        elif job["state"] in ("UploadComplete", "InProgress"):
            job["looks"] += 1
            job["state"] = "InProgress"
            if job["looks"] >= self.looks:
                self.process(job)
        return JSONResponse({"id": request.path_params["job"], "state": job["state"]})

    def upload(self, request: Request, body: bytes) -> Response:
        job = self.jobs[request.path_params["job"]]
        is_csv = request.headers["content-type"].startswith("text/csv")
        if job["state"] != "Open" or job["data"] is not None or not is_csv or len(body) > MOST_UPLOAD:
            return JSONResponse([{"errorCode": "INVALIDJOBSTATE"}], 400)
        job["data"] = body.decode("utf-8", "strict")
        return Response(status_code=201)

    def process(self, job: Values) -> None:
        job["state"] = "JobComplete"
        for row in csv.DictReader(io.StringIO(job["data"])):
            faults = [fault_of(self.fields[name], value) for name, value in row.items() if value not in ("", "#N/A")]
            who = row[FIELDS[0].salesforce]
            why = next(filter(None, faults), None)
            if who not in self.records:
                why = "REQUIRED_FIELD_MISSING"
            if why is not None:
                job["failed"].append({"sf__Id": "", "sf__Error": f"{why}:not taken: {who}:Name --", **row})
                continue
            for name, value in row.items():
                if value == "#N/A":
                    self.records[who].pop(name, None)
                elif value:
                    self.records[who][name] = value

    def results(self, request: Request, body: bytes) -> Response:
        job = self.jobs[request.path_params["job"]]
        if job["state"] != "JobComplete":
            return JSONResponse([{"errorCode": "INVALIDJOBSTATE"}], 400)
        rows = job["failed"] if request.path_params["part"] == "failedResults" else []
        text = io.StringIO()
        writer = csv.DictWriter(text, ["sf__Id", "sf__Error", *self.fields], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return Response(text.getvalue(), media_type="text/csv")

    def query(self, request: Request, body: bytes) -> Response:
        asked = request.query_params.get("q", "")
        start = int(request.query_params.get("from", 0))
        since = asked.partition("SystemModstamp >= ")[2].split(" ")[0]
        rows = [row for row in self.changes if not since or milliseconds(row["SystemModstamp"]) >= milliseconds(since)]
        page: Values = {"records": rows[start : start + 2], "done": start + 2 >= len(rows)}
        if not page["done"]:
            page["nextRecordsUrl"] = f"{request.url.path}?from={start + 2}&q=x%20SystemModstamp%20>=%20{since}%20x"
        return JSONResponse(page)


class SimulatedHubSpot(SimulatedCrm):
    """Batches of objects, and a search."""

    def __init__(self, known, refuse=lambda _: None, poison: str | None = None) -> None:
        super().__init__(known, refuse)
        self.poison, self.searched = poison, 10_000
        self.fields = {field.hubspot: field.kind for field in FIELDS}
        self.changes: list[Values] = []
        self.owners: list[Values] = []
        base = "/crm/v3/objects/companies"
        self.app = Starlette(routes=[
            Route(base + "/batch/{verb}", self.guarded(self.batch), methods=["POST"]),
            Route(base + "/search", self.guarded(self.search), methods=["POST"]),
            Route("/crm/v3/owners", self.guarded(self.told_owners), methods=["GET"]),
        ])  # fmt: skip

    def batch(self, request: Request, body: bytes) -> Response:
        inputs, verb = json.loads(body)["inputs"], request.path_params["verb"]
        ids = [one["id"] for one in inputs]
        if not 0 < len(inputs) <= 100 or len(set(ids)) < len(ids):
            return JSONResponse({"status": "error", "category": "VALIDATION_ERROR"}, 400)
        for one in inputs:
            faults = [
                fault_of(self.fields.get(name, "none"), value) for name, value in one["properties"].items() if value
            ]
            is_odd = one["idProperty"] != FIELDS[0].hubspot or not one["properties"].keys() <= self.fields.keys()
            if is_odd or any(faults) or one["id"] == self.poison:
                return JSONResponse({"status": "error", "category": "VALIDATION_ERROR", "message": one["id"]}, 400)
        unknown = [who for who in ids if who not in self.records and verb == "update"]
        for one in inputs:
            if one["id"] not in unknown:
                held = self.records.setdefault(one["id"], {})
                held.update({name: value for name, value in one["properties"].items() if value != ""})
                for name in [name for name, value in one["properties"].items() if value == ""]:
                    held.pop(name, None)
        if not unknown:
            return JSONResponse({"status": "COMPLETE", "results": []})
        error = {"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": unknown}}
        return JSONResponse({"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [error]}, 207)

    def search(self, request: Request, body: bytes) -> Response:
        asked = json.loads(body)
        start = int(asked.get("after", 0))
        if start + asked["limit"] > self.searched:
            return JSONResponse({"status": "error", "category": "VALIDATION_ERROR"}, 400)
        since = next((one["value"] for one in asked["filterGroups"][0]["filters"] if one["operator"] == "GTE"), "0")
        since = int(since)
        rows = [row for row in self.changes if milliseconds(row["properties"]["hs_lastmodifieddate"]) >= since]
        page: Values = {"results": rows[start : start + 2]}
        if start + 2 < len(rows):
            page["paging"] = {"next": {"after": str(start + 2)}}
        return JSONResponse(page)

    def told_owners(self, request: Request, body: bytes) -> Response:
        asked = request.query_params
        if not asked.keys() <= {"limit", "archived", "after"} or asked.get("after") == "":
            return JSONResponse({"status": "error", "category": "VALIDATION_ERROR"}, 400)
        start = int(asked.get("after", 0))
        owners = [one for one in self.owners if one["archived"] == (asked["archived"] == "true")]
        page: Values = {"results": owners[start : start + 2]}
        if start + 2 < len(owners):
            page["paging"] = {"next": {"after": str(start + 2)}}
        return JSONResponse(page)


def milliseconds(text: str) -> int:
    """An instant as a number; what is none lies before all."""
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1_000)
    except ValueError:
        return 0


def busy(every: int, seconds: str = "0") -> Callable[[int], Response | None]:
    """Refuse one call in so many, as a limit does."""
    return lambda call: Response(status_code=429, headers={"retry-after": seconds}) if call % every == 0 else None

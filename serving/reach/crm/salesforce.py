"""Salesforce: a file of a push as a job of Bulk API 2.0, and what people did there as a query.

By the "Bulk API 2.0 and Bulk API Developer Guide" (api_asynch, read November 2026): a job is made, takes one upload,
is marked UploadComplete, and ends as JobComplete, Failed or Aborted; `failedResults` and `unprocessedrecords` give the
rows that were not taken, with `sf__Error`. A token is got by the client credentials flow of OAuth 2.0. It was tried
against a server that enforces these rules, and not against an organisation.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from vouch.features.instants import as_datetime
from vouch.serving.exports.metadata import API_VERSION
from vouch.serving.exports.targets import FIELDS, JOBS, Target
from vouch.serving.reach.crm.records import UNKNOWN_RECORD, code_of
from vouch.serving.reach.destinations import secret_of
from vouch.serving.reach.outbound import Outbound, OutboundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vouch.serving.reach.crm.records import PushFolder, PushRecord, SentFile
    from vouch.serving.reach.destinations import Destinations

JOBS_PATH = f"/services/data/v{API_VERSION}/jobs/ingest"
QUERY_PATH = f"/services/data/v{API_VERSION}/query"
FIRST_LOOK, LONGEST_LOOK = 1.0, 30.0
"""Seconds between two looks at a job that is at work: more and more."""
MOST_LOOKS = 2_000
_ID = re.compile(r"[A-Za-z0-9]{15,18}")
_MISSING = "REQUIRED_FIELD_MISSING"


class SalesforceClient:
    """One organisation."""

    def __init__(self, settings: Destinations, sleep: Callable[[float], None]) -> None:
        self._settings = settings.salesforce
        self._http = Outbound(self._settings.url, settings.allow, self._settings.calls_in_10_seconds, sleep)

    def __enter__(self) -> SalesforceClient:
        try:
            self._http.headers["authorization"] = f"Bearer {self._token()}"
        except BaseException:
            self._http.close()
            raise
        return self

    def _token(self) -> str:
        """A token for an hour or so, by the client credentials flow."""
        form = {
            "grant_type": "client_credentials",
            "client_id": secret_of(self._settings.client_id),
            "client_secret": secret_of(self._settings.client_secret),
        }
        token = self._http.call("POST", "/services/oauth2/token", form=form).document().get("access_token")
        if not isinstance(token, str) or not token:
            raise OutboundError("The server gave no access token")
        return token

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, folder: PushFolder, record: PushRecord, file: SentFile) -> None:
        """Send one file and write down what came of each row; goes on where an earlier push has ended."""
        state = None if file.job is None else self._state(file.job)
        if state == "Open":  # it takes one upload, and nobody knows whether it had it: nothing of it was processed
            self._http.call("PATCH", f"{JOBS_PATH}/{file.job}", document={"state": "Aborted"}, also=(400,))
        if state in (None, "Open", "Aborted", "Failed"):
            self._begin(folder, record, file)
        self._wait(str(file.job))
        folder.forget_failures(file)
        folder.note_failures(record, file, dict(self._failures(str(file.job))))
        file.sent, file.is_done = file.rows, True
        folder.write(record)

    def _begin(self, folder: PushFolder, record: PushRecord, file: SentFile) -> None:
        """Make a job, write down its id, upload the file, and let the job begin."""
        wanted = {**JOBS[Target.SALESFORCE], "object": self._settings.object}
        job = self._http.call("POST", JOBS_PATH, document=wanted).document().get("id")
        if not isinstance(job, str) or not _ID.fullmatch(job):
            raise OutboundError("The server gave a job no id that can be one")
        file.job = job
        folder.write(record)
        content = (folder.path / file.name).read_bytes()
        self._http.call("PUT", f"{JOBS_PATH}/{job}/batches", content=content, headers={"content-type": "text/csv"})
        self._http.call("PATCH", f"{JOBS_PATH}/{job}", document={"state": "UploadComplete"})

    def _state(self, job: str) -> str | None:
        """The state of a job, None where the server no longer knows it."""
        answer = self._http.call("GET", f"{JOBS_PATH}/{job}", also=(404,))
        return None if answer.status == 404 else str(answer.document().get("state"))

    def _wait(self, job: str) -> None:
        pause = FIRST_LOOK
        for _ in range(MOST_LOOKS):
            state = self._state(job)
            if state == "JobComplete":
                return
            if state in (None, "Failed", "Aborted"):
                raise OutboundError(f"The job {job} has ended as {state}: see it in Salesforce, and push again")
            self._http.sleep(pause)
            pause = min(pause * 2, LONGEST_LOOK)
        raise OutboundError(f"The job {job} does not end: push again, and it is looked at again")

    def _failures(self, job: str) -> Iterator[tuple[str, str]]:
        """Give each customer whose row was not taken, and why."""
        for part in ("failedResults", "unprocessedrecords"):
            answer = self._http.call("GET", f"{JOBS_PATH}/{job}/{part}", headers={"accept": "text/csv"})
            try:
                for row in csv.DictReader(io.StringIO(answer.content.decode("utf-8", "replace"))):
                    why = code_of(row.get("sf__Error")) if part == "failedResults" else "UNPROCESSED"
                    yield row.get(FIELDS[0].salesforce) or "", UNKNOWN_RECORD if why == _MISSING else why
            except csv.Error as error:
                raise OutboundError(f"The results of the job {job} are no CSV") from error

    def changed(self, columns: list[str], since_us: int | None) -> Iterator[dict[str, object]]:
        """Give records that have changed since an instant, the earliest change first, page by page."""
        names = ", ".join([FIELDS[0].salesforce, "SystemModstamp", *columns])
        where = f"{FIELDS[0].salesforce} != null" + (
            "" if since_us is None else f" and SystemModstamp >= {as_datetime(since_us):%Y-%m-%dT%H:%M:%SZ}"
        )
        asked = f"select {names} from {self._settings.object} where {where} order by SystemModstamp, Id"
        path: str | None = f"{QUERY_PATH}?q={quote(asked)}"
        while path is not None:
            page = self._http.call("GET", path).document()
            for row in page.get("records") or ():
                if isinstance(row, dict):
                    flat = {name: _at(row, name) for name in columns}
                    yield {**flat, "customer_id": row.get(FIELDS[0].salesforce), "at": row.get("SystemModstamp")}
            following = page.get("nextRecordsUrl")
            path = following if isinstance(following, str) and following.startswith(QUERY_PATH) else None


def _at(row: object, name: str) -> object:
    """The value of a field, or of a field of a related record: `Owner.Email`."""
    for part in name.split("."):
        row = row.get(part) if isinstance(row, dict) else None
    return row

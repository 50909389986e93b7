"""HubSpot: rows of a push as batches by the unique property, and what people did there as a search.

By the developers' documentation (developers.hubspot.com, "CRM API: objects", "API usage guidelines", read November
2026): at most 100 inputs in a batch; `batch/update` and `batch/upsert` find a record by `idProperty`; a batch of which
only some were taken is answered by 207, with `errors` that name ids in their `context`; an empty text clears a value;
a burst is answered by 429; a search tells 10,000 records at most. It was tried against a server that enforces these
rules, and not against a portal.
"""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vouch.serving.exports.targets import FIELDS
from vouch.serving.reach.crm.records import OTHER, UNKNOWN_RECORD, code_of
from vouch.serving.reach.destinations import secret_of
from vouch.serving.reach.outbound import Outbound, OutboundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vouch.serving.reach.crm.records import PushFolder, PushRecord, SentFile
    from vouch.serving.reach.destinations import Destinations

BATCH = 100
KEY = FIELDS[0].hubspot
SEARCHED = 10_000
"""As many records one search tells at most; a page beyond is answered by 400."""
CHANGED_AT = {"contacts": "lastmodifieddate"}
"""The property that says when an object changed last, where it has another name than that of all others."""
OWNER_ID, OWNERS_PATH = "hubspot_owner_id", "/crm/v3/owners"
"""The property that says who owns a record, by an id, and where it is told who that is."""
_UNKNOWN = "OBJECT_NOT_FOUND"


class HubSpotClient:
    """One portal."""

    def __init__(self, settings: Destinations, sleep: Callable[[float], None]) -> None:
        self._settings = settings.hubspot
        self._http = Outbound(self._settings.url, settings.allow, self._settings.calls_in_10_seconds, sleep)
        self._objects = f"/crm/v3/objects/{self._settings.object}"

    def __enter__(self) -> HubSpotClient:
        self._http.headers["authorization"] = f"Bearer {secret_of(self._settings.token)}"
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def send(self, folder: PushFolder, record: PushRecord, file: SentFile) -> None:
        """Send the rows that were not answered yet, batch by batch, and write down what came of each."""
        folder.forget_failures(file)
        rows = folder.rows_of(file)
        for _ in range(file.sent):
            next(rows)
        for batch in _batches(rows):
            failures = self._batch(batch)
            folder.note_failures(record, file, failures)
            file.sent += len(batch)
            folder.write(record)
        file.is_done = True
        folder.write(record)

    def _batch(self, rows: list[dict[str, str]]) -> dict[str, str]:
        """Send rows; return who was not taken, and why."""
        verb = "update" if self._settings.unknown == "leave" else "upsert"
        inputs = [
            {
                "id": row[KEY],
                "idProperty": KEY,
                "properties": {name: value for name, value in row.items() if verb == "upsert" or name != KEY},
            }
            for row in rows
        ]
        answer = self._http.call("POST", f"{self._objects}/batch/{verb}", document={"inputs": inputs}, also=(400, 404))
        if answer.status == 200:
            return {}
        if answer.status in (400, 404) and len(rows) > 1:  # one row can spoil a batch: find it
            half = len(rows) // 2
            return self._batch(rows[:half]) | self._batch(rows[half:])
        return _failures(answer.document(), rows)

    def changed(self, columns: list[str], since_us: int | None) -> Iterator[dict[str, object]]:
        """Give records that have changed since an instant, the earliest change first, page by page.

        A search tells no more than its first 10,000: the next one begins at the instant at which it ended.
        """
        changed_at = CHANGED_AT.get(self._settings.object, "hs_lastmodifieddate")
        since = None if since_us is None else since_us // 1_000
        owners = self._owners() if OWNER_ID in columns else {}
        while True:
            last, is_more = None, False
            for rows, is_cut in self._pages(changed_at, columns, since):
                is_more = is_cut
                for row in rows:
                    held = row.get("properties") if isinstance(row, dict) else None
                    if isinstance(held, dict):
                        last = held.get(changed_at)
                        flat = {name: held.get(name) for name in columns}
                        if owner := flat.get(OWNER_ID):
                            flat[OWNER_ID] = owners.get(str(owner), {})
                        yield {**flat, "customer_id": held.get(KEY), "at": last}
            if not is_more:
                return
            before, since = since, _milliseconds(last)
            if before is not None and since <= before:
                raise OutboundError(f"More than {SEARCHED:,} records changed at one instant: no search tells them all")

    def _owners(self) -> dict[str, dict[str, str]]:
        """Name and address of each owner, by id; those who are there no more own records still."""
        found: dict[str, dict[str, str]] = {}
        for archived in ("true", "false"):
            path: str | None = f"{OWNERS_PATH}?limit={BATCH}&archived={archived}"
            while path is not None:
                page = self._http.call("GET", path).document()
                for one in page.get("results") or ():
                    if isinstance(one, dict):
                        name = " ".join(str(one[part]) for part in ("firstName", "lastName") if one.get(part))
                        email = str(one.get("email") or "")
                        found[str(one.get("id"))] = {"owner": name or email, "owner_email": email}
                after = ((page.get("paging") or {}).get("next") or {}).get("after")
                path = after and f"{OWNERS_PATH}?limit={BATCH}&archived={archived}&after={quote(str(after))}"
        return found

    def _pages(self, changed_at: str, columns: list[str], since: int | None) -> Iterator[tuple[list[Any], bool]]:
        """Pages of one search, and of each whether the search ends there although there is more."""
        filters: list[dict[str, str]] = [{"propertyName": KEY, "operator": "HAS_PROPERTY"}]
        if since is not None:
            filters.append({"propertyName": changed_at, "operator": "GTE", "value": str(since)})
        asked: dict[str, Any] = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": changed_at, "direction": "ASCENDING"}],
            "properties": [KEY, changed_at, *columns],
            "limit": BATCH,
        }
        after: object = 0
        while after is not None:
            page = self._http.call("POST", f"{self._objects}/search", document=asked).document()
            after = asked["after"] = ((page.get("paging") or {}).get("next") or {}).get("after")
            is_cut = after is not None and str(after).isdigit() and int(str(after)) + BATCH > SEARCHED
            yield page.get("results") or [], is_cut
            if is_cut:
                return


def _milliseconds(at: object) -> int:
    try:
        return round(datetime.fromisoformat(str(at)).timestamp() * 1_000)
    except ValueError:
        raise OutboundError("The server tells of a record no instant at which it changed") from None


def _batches(rows: Iterator[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def _failures(document: dict[str, Any], rows: list[dict[str, str]]) -> dict[str, str]:
    """Who was not taken, by the ids that the errors name; one that names nobody is of all rows."""
    asked, failures = [row[KEY] for row in rows], {}
    errors = document.get("errors") or [document]
    if not isinstance(errors, list):
        raise OutboundError("The server tells errors in a form that is not known")
    for error in errors:
        details = error if isinstance(error, dict) else {}
        context = details.get("context")
        named = context.get("ids") if isinstance(context, dict) else None
        why = code_of(details.get("category")) if details.get("category") else OTHER
        for who in named if isinstance(named, list) else asked:
            if who in asked:
                failures[who] = UNKNOWN_RECORD if why == _UNKNOWN else why
    return failures

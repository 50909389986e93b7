"""OpenLineage events of the weekly run: what it read, what it published, and how it ended.

One `START`, and one `COMPLETE` or `FAIL` for the same run, as the specification 2-0-2 has them. They name tables and
folders and count rows; no customer is named, and what an unforeseen error says is left out, for it may quote a row.
`VOUCH_LINEAGE` says where they go: an address takes each by POST, a file a line each. A place that takes none is told
as a warning, and stops no run.
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vouch.features.errors import VouchError
from vouch.features.instants import as_datetime, iso_text
from vouch.features.project import POSTGRES, S3, lineage_key, version
from vouch.features.shown import redacted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.project import Project
    from vouch.serving.batch.outcome import WeekOutcome

PRODUCER = "https://pypi.org/project/vouch"
SPEC = "https://openlineage.io/spec"
EVENT = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
NAMESPACE, JOB = "vouch", "score"
TIMEOUT_SECONDS = 5.0
"""A run waits no longer for whoever takes its events."""
_REFUSED = "refused"


@dataclass
class LineageRun:
    """The events of one run. `place` is where they go, None for nowhere."""

    project: Project
    place: str | None
    clock_us: int
    run_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    warnings: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        """Tell that it began."""
        self._send("START", {}, [], [])

    def complete(self, weeks: Sequence[WeekOutcome]) -> None:
        """Tell what was read and published; a run whose every week was refused by guards has failed."""
        published = [week for week in weeks if week.folder is not None and week.outcome != _REFUSED]
        if weeks and all(week.outcome == _REFUSED for week in weeks):
            self._send("FAIL", _error_facet("guards refused to publish"), [], [])
            return
        rows = [_manifest(week.folder).get("rows_in", {}) for week in published if week.folder is not None]
        read = {name: count for of in rows for name, count in of.items()}
        self._send("COMPLETE", {}, self._inputs(read), [_output(week) for week in published])

    def fail(self, error: BaseException) -> None:
        """Tell why it ended."""
        self._send("FAIL", _error_facet(str(error) if isinstance(error, VouchError) else type(error).__name__), [], [])

    def _inputs(self, rows: Mapping[str, int]) -> list[dict[str, Any]]:
        """The tables that were read, by where they lie."""
        namespace, folder = dataset_place(self.project.location)
        return [
            {
                "namespace": namespace,
                "name": f"{folder}{name}",
                "inputFacets": {"inputStatistics": {**_facet("InputStatisticsInputDatasetFacet"), "rowCount": count}},
            }
            for name, count in sorted(rows.items())
        ]

    def _send(
        self, kind: str, facets: Mapping[str, Any], inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]
    ) -> None:
        if self.place is None:
            return
        now_us = self.clock_us + round((time.monotonic() - self._began) * 1e6)
        engine = {**_facet("ProcessingEngineRunFacet"), "name": "vouch", "version": version()}
        event = {
            "eventType": kind,
            "eventTime": iso_text(as_datetime(now_us)),
            "producer": PRODUCER,
            "schemaURL": EVENT,
            "run": {"runId": self.run_id, "facets": {"processing_engine": engine, **facets}},
            "job": {"namespace": NAMESPACE, "name": JOB},
            "inputs": inputs,
            "outputs": outputs,
        }
        try:
            _deliver(self.place, json.dumps(event, ensure_ascii=False, sort_keys=True))
        except (OSError, ValueError) as error:
            self.warnings.append(
                f"lineage was not told to {redacted(self.place)}: {type(error.__cause__ or error).__name__}"
            )


def dataset_place(location: str | None) -> tuple[str, str]:
    """Return the namespace of a company's tables and what stands before their names, as OpenLineage names datasets.

    >>> dataset_place("s3://lake/company"), dataset_place("postgresql://me:secret@host:5432/shop?schema=crm")
    (('s3://lake', 'company/'), ('postgres://host:5432', 'shop.crm.'))
    >>> dataset_place("/data/company"), dataset_place(None)
    (('file', '/data/company/'), ('file', ''))
    """
    if location is None:
        return "file", ""
    parts = urlsplit(location)
    if location.startswith(S3):
        folder = parts.path.strip("/")
        return f"s3://{parts.netloc}", f"{folder}/" if folder else ""
    if location.startswith(POSTGRES):
        schema = next((part[7:] for part in parts.query.split("&") if part.startswith("schema=")), "public")
        return f"postgres://{parts.hostname or 'localhost'}:{parts.port or 5432}", f"{parts.path.strip('/')}.{schema}."
    return "file", f"{location}/"


def _output(week: WeekOutcome) -> dict[str, Any]:
    """The snapshot of a week, with the rows that it holds."""
    facet = {**_facet("OutputStatisticsOutputDatasetFacet"), "rowCount": week.customers}
    return {"namespace": "file", "name": str(week.folder), "outputFacets": {"outputStatistics": facet}}


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a week; empty where it cannot be read, which the run has told of itself."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest


def _error_facet(message: str) -> dict[str, Any]:
    return {"errorMessage": {**_facet("ErrorMessageRunFacet"), "message": message, "programmingLanguage": "PYTHON"}}


_VERSIONS = {
    "ErrorMessageRunFacet": "1-0-1",
    "InputStatisticsInputDatasetFacet": "1-0-0",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "ProcessingEngineRunFacet": "1-1-1",
}


def _facet(name: str) -> dict[str, str]:
    """What each facet begins with: who made it, and the schema that it follows."""
    return {"_producer": PRODUCER, "_schemaURL": f"{SPEC}/facets/{_VERSIONS[name]}/{name}.json#/$defs/{name}"}


def _deliver(place: str, event: str) -> None:
    """Send an event to an address, or add it to a file as a line."""
    if not place.startswith(("http://", "https://")):
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{event}\n")
        return
    headers = {"Content-Type": "application/json"}
    if key := lineage_key():
        headers["Authorization"] = f"Bearer {key}"
    import httpx

    try:
        with httpx.stream("POST", place, content=event.encode(), headers=headers, timeout=TIMEOUT_SECONDS) as answer:
            answer.raise_for_status()  # a redirect is no success, and the key goes to nobody else
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError("it was not taken") from error

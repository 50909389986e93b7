"""The right to erasure: customers out of everything that vouch keeps or has written, with a receipt without names.

First the tombstones, so that nobody comes back whatever happens after; then each entry of
`vouch.serving.lifecycle.inventory`. A run that was interrupted is simply run again. Numbers of customers in metrics and
in models stay: they name nobody.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from sqlalchemy import delete, update

from vouch.features.errors import SnapshotError
from vouch.features.ingest import erased as tombstones
from vouch.features.instants import as_datetime, from_folder_name, spoken
from vouch.serving.exports import written_files
from vouch.serving.lifecycle.inventory import named
from vouch.serving.lifecycle.scrubbing import KEY, scrub_csv, scrub_parquet, scrub_text
from vouch.serving.monitoring.observed import counts
from vouch.serving.reports.reprinting import reprinted
from vouch.serving.snapshots import files
from vouch.serving.store import mapped
from vouch.serving.store.audit import COMMAND_LINE, noted
from vouch.serving.store.connection import Database
from vouch.serving.store.tables import NAMES_A_CUSTOMER, ROWS_OF_A_CUSTOMER
from vouch.serving.store.weeks import without_customer

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from vouch.features.project import Project

RECEIPTS = "receipts"
BEYOND_REACH = (
    "the company's own tables",
    "what a CRM, a mailbox or anybody else took over from exports and reports",
    "copies and backups of the home",
)


@dataclass
class Receipt:
    """What was erased where; customers stand as hashes alone."""

    at: str
    hashes: list[str]
    places: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    beyond_reach: tuple[str, ...] = BEYOND_REACH
    path: str = ""

    def add(self, place: str, rows: int, how: str) -> None:
        """Note that so many rows or names went from a place."""
        if rows:
            self.places.append({"place": place, "rows": rows, "how": how})

    @property
    def rows(self) -> int:
        """How many rows and names went."""
        return sum(place["rows"] for place in self.places)

    def as_dict(self) -> dict[str, Any]:
        """For people and schedulers to read, and to be kept."""
        return asdict(self)


def erase(
    project: Project,
    customer_ids: Collection[str],
    now_us: int,
    models_since: Callable[[str | None], list[dict[str, Any]]],
    progress: Callable[[str], None] = lambda _: None,
) -> Receipt:
    """Erase customers. `models_since` gives the versions of models that learned after a date (None: all of them).

    Call it with the locks of all runs that write. Raises StoreError where the store does not answer, and
    SnapshotError where a file cannot be written: run it again then.
    """
    home = project.home
    progress("tombstones")
    buried = tombstones.bury(home, customer_ids)
    receipt = Receipt(spoken(now_us), sorted(map(buried.hash_of, customer_ids)))
    receipt.models = models_since(_first_seen(home, customer_ids))
    progress("snapshots")
    for path, gone, how in _snapshots(home, customer_ids):
        receipt.add(str(path.relative_to(home)), gone, how)
    progress("the store")
    receipt.add(*_store(project, customer_ids, now_us))
    progress("files")
    for holding in named("scrubbed"):
        for path in sorted((home / holding.name).rglob("*")):
            if path.is_file():
                receipt.add(str(path.relative_to(home)), scrub_text(path, customer_ids), "names struck out")
    _outputs(project, customer_ids, receipt, now_us)
    for holding in named("rebuilt"):
        rows = sum(_rows(path, customer_ids) for path in (home / holding.name).rglob("*.parquet"))
        shutil.rmtree(home / holding.name, ignore_errors=True)
        receipt.add(holding.name, rows, "deleted whole, the next run makes it anew")
    return _kept(home, receipt, now_us)


def _rows(path: Path, customer_ids: Collection[str]) -> int:
    """In how many rows of a Parquet file customers are named; a file that cannot be read counts none."""
    try:
        with pq.ParquetFile(path) as file:
            key = next((name for name in (KEY, "advocate_id", "raw") if name in file.schema_arrow.names), None)
            column = file.read(columns=[key])[key] if key else pa.chunked_array([], pa.string())
    except (OSError, pa.ArrowException):
        return 0
    if key == "raw":
        return sum(any(f'"{customer}"' in row for customer in customer_ids) for row in column.to_pylist())
    found = pa.compute.is_in(column, value_set=pa.array(sorted(customer_ids), column.type))
    return int(pa.compute.sum(found).as_py() or 0)


def _first_seen(home: Path, customer_ids: Collection[str]) -> str | None:
    """The date from which models may have learned from these customers; None where it cannot be told."""
    wanted = pa.array(sorted(customer_ids), pa.string())
    first: list[int] = []
    for path in (home / "staged").glob("*/customers.parquet"):
        try:
            table = pq.read_table(path, columns=[KEY, "own_us"])
        except (OSError, pa.ArrowException):
            continue
        first += table.filter(pa.compute.is_in(table[KEY], value_set=wanted))["own_us"].to_pylist()
    return str(as_datetime(min(first)).date()) if first else None


def _snapshots(home: Path, customer_ids: Collection[str]) -> Iterator[tuple[Path, int, str]]:
    """Write every revision of every week anew; drafts of killed runs go, and damaged revisions that none can search."""
    for parent in sorted((home / files.FOLDER).glob("as_of=*")):
        as_of_us = from_folder_name(parent.name)
        if as_of_us is None:
            continue
        for left in parent.glob("draft-*"):
            shutil.rmtree(left)
        current = (parent / files.POINTER).read_text().strip() if (parent / files.POINTER).exists() else ""
        for _, folder in sorted(files.revisions(parent).items()):
            try:
                found = files.open_revision(folder)
            except SnapshotError:
                shutil.rmtree(folder)
                yield folder, 1, "deleted, because it is damaged and cannot be searched"
                continue
            if gone := _without(home, found, customer_ids, folder.name == current):
                yield folder, gone, "written anew"


def _without(home: Path, found: files.Snapshot, customer_ids: Collection[str], is_current: bool) -> int:
    """Write one revision anew: the published one as the next revision, another one in its place."""
    with files.drafting(home, found.as_of_us) as draft:
        gone = 0
        for name in found.manifest["files"]:
            shutil.copyfile(found.folder / name, draft.folder / name)
            if name.endswith(".parquet"):
                gone += scrub_parquet(draft.folder / name, customer_ids)
        if not gone:
            return 0
        manifest = _manifest(found, draft)
        if is_current:
            draft.publish(manifest)
            shutil.rmtree(found.folder)
        else:
            draft.replace(found.folder, manifest)
        return gone


def _manifest(found: files.Snapshot, draft: files.Draft) -> dict[str, Any]:
    """The manifest with the figures of the rows that are left; what is said of inputs stays."""
    own = ("as_of", "revision", "files")
    manifest = {name: value for name, value in found.manifest.items() if name not in own}
    manifest["rows_out"] = {name: draft.rows(name) for name in manifest["rows_out"]}
    manifest["statuses"] = {
        name: counts(draft.read("scores", [f"{name}_status"])[f"{name}_status"]) for name in manifest["statuses"]
    }
    if "seen" in manifest:
        manifest["seen"] = {**manifest["seen"], "customers": draft.rows("scores")}
    erased = found.manifest["rows_out"]["scores"] - draft.rows("scores")
    return {**manifest, "erased": manifest.get("erased", 0) + erased}


def _store(project: Project, customer_ids: Collection[str], now_us: int) -> tuple[str, int, str]:
    """Take customers out of the serving store, and out of what services map; its audit log tells how many they were."""
    database = Database(project.home, project.store)
    gone = 0
    with database.writing("snapshots") as connection:
        for customer in customer_ids:
            gone += without_customer(connection, customer)
    with database.writing("asks") as connection:
        for table in ROWS_OF_A_CUSTOMER:
            found = connection.execute(delete(table).where(table.c.customer_id.in_(customer_ids)))
            gone += found.rowcount
        for table in NAMES_A_CUSTOMER:
            named_there = table.c.customer_id.in_(customer_ids)
            gone += connection.execute(update(table).where(named_there).values(customer_id=None)).rowcount
        noted(connection, now_us, COMMAND_LINE, "erased", route="vouch erase", rows=len(customer_ids))
    database.compact()
    database.close()
    for pattern in ("*.arrow", "*.building"):
        for path in (project.home / mapped.FOLDER).glob(pattern):
            path.unlink()
    return database.shown, gone, "rows deleted, and the space that they took written over"


def _outputs(project: Project, customer_ids: Collection[str], receipt: Receipt, now_us: int) -> None:
    """Write anew what was written elsewhere, where it still is what was written; lists of exports last."""
    kept = []
    for output in sorted(written_files.load(project.home), key=lambda output: output.kind == "listing"):
        path = Path(output.path)
        if not path.exists():
            continue
        if files.file_digest(path) != output.sha256:
            receipt.left.append(f"{path}: changed since it was written, look through it by hand")
        else:
            receipt.add(str(path), *_rewritten(project, output, customer_ids, now_us))
            if path.exists():
                output = replace(output, sha256=files.file_digest(path))
        if path.exists():
            kept.append(output)
    written_files.save(project.home, kept)


def _rewritten(
    project: Project, output: written_files.Output, customer_ids: Collection[str], now_us: int
) -> tuple[int, str]:
    """Write one file anew; how many rows or names went, and how."""
    path = Path(output.path)
    if output.kind in ("page", "text"):
        return reprinted(project.home, project.store, output, customer_ids, now_us)
    if output.kind == "listing":
        _relist(path)
        return 0, "says what its files are now"
    scrub = scrub_parquet if path.suffix == ".parquet" else scrub_csv
    return scrub(path, customer_ids), "written anew"


def _relist(path: Path) -> None:
    """Let the list of an export's files say what they are now."""
    listing = json.loads(path.read_text(encoding="utf-8"))
    for entry in listing["files"]:
        file = path.parent / entry["name"]
        if not file.exists():
            continue
        rows = pq.read_metadata(file).num_rows if file.suffix == ".parquet" else _lines(file) - 1
        entry |= {"rows": rows, "bytes": file.stat().st_size, "sha256": files.file_digest(file)}
    listing["rows"] = sum(entry["rows"] for entry in listing["files"])
    path.write_text(json.dumps(listing, indent=2) + "\n", encoding="utf-8")


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _kept(home: Path, receipt: Receipt, now_us: int) -> Receipt:
    folder = home / tombstones.FOLDER / RECEIPTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{as_datetime(now_us).strftime('%Y-%m-%dT%H%M%S.%fZ')}-{receipt.hashes[0][:12]}.json"
    receipt.path = str(path)
    path.write_text(json.dumps(receipt.as_dict(), indent=1) + "\n", encoding="utf-8")
    return receipt

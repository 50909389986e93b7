"""CRM export: a published snapshot as files for a bulk import, keyed by the external id of the customer.

Everybody is exported, with consent as a flag, so that the CRM can hold back whom nobody may contact; a missing consent
is none. A file appears only when it is whole and was found to keep the rules of its target; the list of a set's
files, `NAME.json`, comes last: where it stands, the set is complete. Whether a row changed is judged by its cells as
written, so that noise behind the point causes no writes; date, rank, wording of reasons and the names of models move
every week, and are judged by nobody: who sorts by worth needs no rank.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from vouch.features.durable import file_digest, flush_file, write_whole
from vouch.features.errors import Refused, SnapshotError, UsageError
from vouch.features.health import band_reason
from vouch.features.instants import folder_name, instant_text
from vouch.features.shown import csv_line, plain_text
from vouch.features.vectors.sentences import for_a_list
from vouch.serving.asking.by_hand import without_scores
from vouch.serving.asking.ranking import EXCLUSIONS
from vouch.serving.exports.cells import SHOWN_FAULTS, cell, check_file, key_fault, schema
from vouch.serving.exports.decisions import UNDECIDED, CustomerDecision, at_risk, change_of, probabilities
from vouch.serving.exports.targets import FIELDS, JOBS, RULES, Target, TargetRules
from vouch.serving.snapshots import schema as columns
from vouch.serving.snapshots.read import batches, health_rules_of, horizon_of, in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from vouch.serving.snapshots.files import Snapshot

Row = dict[str, Any]
LOOKED_AT = 5
"""Of so many reasons, the largest, the one is told that somebody can act on."""
CONSENTS = ("contact_consent", "advocacy_consent")
_DRAFT = ".vouch-export-"
DECIDED = tuple(item.name for item in fields(CustomerDecision) if item.metadata.get("is_told", True))
MONEY = ("revenue_at_risk", "churn_change")
HORIZONS = {f"{model}_horizon_days": model for model in columns.NAMED}
_ELSEWHERE = (
    *CONSENTS, *DECIDED, *MONEY, *HORIZONS, "health_band_reason", *(f"{model}_reason" for model in columns.MODELS),
)  # fmt: skip
_OF_SCORES = [item.column for item in FIELDS if item.column not in _ELSEWHERE]
Decide = Callable[["Snapshot"], "Mapping[str, CustomerDecision]"]
"""What gives the decision on each customer of a week, as the service would have told it then."""


@dataclass
class Exported:
    """What was written, and what to know of it."""

    target: Target
    as_of: str
    revision: int
    since: str | None
    customers: int = 0
    rows: int = 0
    unchanged: int = 0
    gone: int | None = None
    without_contact_consent: int = 0
    altered_ids: int = 0
    alike_ids: int = 0
    refused: dict[str, list[int]] = field(default_factory=dict)
    """Rows of the snapshot, counted from 0, that no file of the target can hold, by the reason."""
    job: Mapping[str, str] | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    listing: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For a scheduler to read."""
        return {**self.__dict__, "target": self.target.value}

    def summary(self) -> str:
        """One line for people."""
        since = "" if self.since is None else f" that changed since {self.since} ({self.gone:,} are gone since)"
        return (
            f"{self.rows:,} of {self.customers:,} customers{since} as of {self.as_of} for {self.target.value}, "
            f"{self.without_contact_consent:,} without contact_consent, in {len(self.files)} files: {self.listing}"
        )

    def warnings(self) -> list[str]:
        """What somebody should look at."""
        texts = []
        for why, of in self.refused.items():
            named = ", ".join(map(str, of[:SHOWN_FAULTS])) + (", ..." if len(of) > SHOWN_FAULTS else "")
            texts.append(
                f"{len(of):,} customers are left out, their id {why}: rows {named} of the week's scores.parquet"
            )
        if self.altered_ids:
            texts.append(
                f"{self.altered_ids:,} customer ids look like formulas or hold control characters: as they are "
                "written, they match no record of the CRM"
            )
        if self.alike_ids and self.target in (Target.SALESFORCE, Target.HUBSPOT):
            texts.append(
                f"{self.alike_ids:,} customer ids differ from another by upper and lower case alone: the CRM must "
                "take these as two values of its external id, or one overwrites the other"
            )
        return texts


def export(
    snapshot: Snapshot,
    target: Target,
    folder: Path,
    *,
    earlier: Snapshot | None = None,
    before: Callable[[Snapshot], Snapshot | None] = lambda _: None,
    decide: Decide = lambda _: {},
    rules: TargetRules | None = None,
) -> Exported:
    """Write a snapshot into a folder as files for a target; with `earlier`, only the rows that changed since.

    `before` gives the week before another, for what has moved; `decide` the decisions of a week. `rules` replaces the
    published limits of the target. The same snapshot and the same asks give the same bytes. Raises UsageError where
    the folder cannot be written to or `earlier` is not earlier, Refused where a row does not fit into the limits of the
    target, and SnapshotError where the snapshot is damaged. Nothing is replaced unless all went well. A customer whose
    id the target cannot hold is left out, and told.
    """
    if earlier is not None and earlier.as_of_us >= snapshot.as_of_us:
        raise UsageError(f"{instant_text(earlier.as_of_us)} does not lie before {instant_text(snapshot.as_of_us)}")
    held = rules or RULES[target]
    since = None if earlier is None else instant_text(earlier.as_of_us)
    done = Exported(target, instant_text(snapshot.as_of_us), snapshot.revision, since, job=JOBS.get(target))
    with _drafting(folder) as draft:
        chosen = _chosen(_Weeks(before, decide), snapshot, earlier, held, done)
        write = _write_parquet if target is Target.PARQUET else _write_csv
        counts = write(chosen, snapshot, draft, _stem(snapshot, target, earlier), target, held)
        for path in counts:
            if faults := check_file(target, path, held):
                raise Refused(f"{target.value} would not take the export: {'; '.join(faults)}")
        _publish(counts, folder, _stem(snapshot, target, earlier), done)
    return done


@dataclass(frozen=True)
class _Weeks:
    """What a row holds beside what its own week says of the customer."""

    before: Callable[[Snapshot], Snapshot | None]
    decide: Decide

    def rows(self, snapshot: Snapshot) -> Iterator[Row]:
        """Give one row per customer, in the order of the snapshot: a value for each column of FIELDS."""
        decided, earlier = self.decide(snapshot), probabilities(self.before(snapshot))
        objecting = {who for who, of in decided.items() if of.not_asked_because == EXCLUSIONS[columns.OPTED_OUT]}
        rules = health_rules_of(snapshot.manifest)
        horizons = {name: horizon_of(snapshot.manifest, model) for name, model in HORIZONS.items()}
        of_scores = [*_OF_SCORES, *columns.HEALTH_BOUNDS, *(f"{model}_reasons" for model in columns.MODELS)]
        people = batches(snapshot, "customers", ["customer_id", *CONSENTS, "mrr", "segment"])
        for scores, profiles in zip(batches(snapshot, "scores", of_scores), people, strict=True):
            if not scores["customer_id"].equals(profiles["customer_id"]):
                raise SnapshotError(f"{snapshot.folder}: its tables hold other customers. Score the week again.")
            scored = without_scores(scores, objecting)
            leading = {
                model: pa.compute.list_slice(scored[f"{model}_reasons"], 0, LOOKED_AT) for model in columns.MODELS
            }
            first = {f"{model}_reason": of.to_pylist() for model, of in leading.items()}
            profile_rows = profiles.select([*CONSENTS, "mrr", "segment"]).to_pylist()
            bounds = scored.select(columns.HEALTH_BOUNDS).to_pylist()
            for place, row in enumerate(scored.select(_OF_SCORES).to_pylist()):
                why = band_reason({**row, **bounds[place]}, rules.of(profile_rows[place]["segment"]))
                who, probability = row["customer_id"], row["churn_probability"]
                decision = decided.get(who, UNDECIDED)
                yield {
                    **row,
                    **{name: bool(profile_rows[place][name]) and name not in decision.withdrawn for name in CONSENTS},
                    **{name: _leading(of[place]) for name, of in first.items()},
                    **{name: getattr(decision, name) for name in DECIDED},
                    **{
                        name: None if row[f"{of}_probability"] is None else horizons[name]
                        for name, of in HORIZONS.items()
                    },
                    "health_band_reason": None if why is None else str(why),
                    "revenue_at_risk": at_risk(probability, profile_rows[place]["mrr"]),
                    "churn_change": change_of(probability, earlier.get(who)),
                }


def _leading(reasons: Sequence[Mapping[str, Any]] | None) -> str | None:
    """The reason that somebody can act on, of the largest."""
    chosen = for_a_list(reasons or (), 1)
    return in_words(chosen[0]) if chosen else None


def _chosen(
    weeks: _Weeks, snapshot: Snapshot, earlier: Snapshot | None, rules: TargetRules, done: Exported
) -> Iterator[Row]:
    """The rows to write, counted as they pass."""
    before = None if earlier is None else {row["customer_id"]: _mark(row, rules) for row in weeks.rows(earlier)}
    folded: set[str] = set()
    written: set[str] = set()
    for place, row in enumerate(weeks.rows(snapshot)):
        done.customers += 1
        key = cell(FIELDS[0], row["customer_id"], rules)
        if done.target is not Target.PARQUET and (why := key_fault(key, written, rules)):
            done.refused.setdefault(why, []).append(place)
            if before is not None:
                before.pop(row["customer_id"], None)
            continue
        written.add(key)
        done.alike_ids += (key := row["customer_id"].casefold()) in folded
        folded.add(key)
        if before is not None and before.pop(row["customer_id"], None) == _mark(row, rules):
            done.unchanged += 1
            continue
        done.rows += 1
        done.without_contact_consent += not row["contact_consent"]
        done.altered_ids += plain_text(row["customer_id"], rules.null) != row["customer_id"]
        yield row
    done.gone = None if before is None else len(before)


def _mark(row: Row, rules: TargetRules) -> bytes:
    """Digest of what is written of a row and moves only where something has."""
    cells = [cell(item, row[item.column], rules) for item in FIELDS if item.is_judged]
    return hashlib.blake2b("\0".join(cells).encode(), digest_size=12).digest()


def _stem(snapshot: Snapshot, target: Target, earlier: Snapshot | None) -> str:
    """How the files of a set begin: whose, of when, and since when."""
    as_of = folder_name(snapshot.as_of_us).removeprefix("as_of=")
    since = "" if earlier is None else f"-since-{folder_name(earlier.as_of_us).removeprefix('as_of=')}"
    return f"vouch-{target.value}-{as_of}{since}"


def _write_parquet(
    chosen: Iterable[Row], snapshot: Snapshot, draft: Path, stem: str, target: Target, rules: TargetRules
) -> dict[Path, int]:
    layout, path, waiting, written = schema(columns.as_of_type(snapshot.as_of_us)), draft / f"{stem}-001.parquet", [], 0
    with pq.ParquetWriter(path, layout, compression="zstd", write_page_checksum=True, version="2.6") as writer:
        for row in chosen:
            waiting.append(row)
            if len(waiting) == 20_000:
                writer.write_table(pa.Table.from_pylist(waiting, layout))
                written, waiting = written + len(waiting), []
        if waiting or not written:
            writer.write_table(pa.Table.from_pylist(waiting, layout))
    return {path: written + len(waiting)}


def _write_csv(
    chosen: Iterable[Row], snapshot: Snapshot, draft: Path, stem: str, target: Target, rules: TargetRules
) -> dict[Path, int]:
    """Write numbered files, each with the row of titles and within the limits; return how many rows each one holds."""
    titles = _line(item.name(target) for item in FIELDS)
    counts: Counter[Path] = Counter()
    parts = _parts(titles, (_line(cell(item, row[item.column], rules) for item in FIELDS) for row in chosen), rules)
    for number, part in enumerate(parts, 1):
        path = draft / f"{stem}-{number:03}.csv"
        with path.open("wb") as file:
            file.write(titles)
            for line in part:
                file.write(line)
                counts[path] += 1
        counts[path] += 0  # a file of titles alone is one, too
    return dict(counts)


def _parts(titles: bytes, lines: Iterator[bytes], rules: TargetRules) -> Iterator[Iterator[bytes]]:
    """Cut lines into runs that fit into one file each, at least one; each run must be used up before the next."""
    most_bytes = rules.file_bytes or float("inf")
    most_rows = rules.file_rows or float("inf")
    waiting = next(lines, None)

    def run() -> Iterator[bytes]:
        nonlocal waiting
        size, count = len(titles), 1
        while waiting is not None and size + len(waiting) <= most_bytes and count < most_rows:
            size, count = size + len(waiting), count + 1
            yield waiting
            waiting = next(lines, None)
        if waiting is not None and count == 1:
            raise Refused(f"One row and its titles take more than a file may have: {rules.file_bytes} bytes")

    yield run()
    while waiting is not None:
        yield run()


def _line(cells: Iterable[str]) -> bytes:
    return csv_line(cells).encode()


@contextmanager
def _drafting(folder: Path) -> Iterator[Path]:
    """Give a hidden folder beside the files to come; what a killed run left there is swept, so call it under a lock."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{_DRAFT}*"):
            shutil.rmtree(left)
        draft = Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder))
    except OSError as error:
        raise UsageError(f"Cannot write into {folder}: {error.strerror}") from error
    try:
        yield draft
    finally:
        shutil.rmtree(draft)


def _publish(counts: Mapping[Path, int], folder: Path, stem: str, done: Exported) -> None:
    """Replace the set of the same name: its list goes first, and comes last."""
    listing = folder / f"{stem}.json"
    listing.unlink(missing_ok=True)
    for old in folder.glob(f"{stem}-[0-9][0-9][0-9]*.*"):
        old.unlink()
    for path, count in counts.items():
        done.files.append({"name": path.name, "rows": count, "bytes": path.stat().st_size, "sha256": file_digest(path)})
        flush_file(path)
        path.rename(folder / path.name)
    done.listing = str(listing)
    write_whole(listing, json.dumps({**done.as_dict(), "listing": listing.name}, indent=2) + "\n")

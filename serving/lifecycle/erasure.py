"""Erasure of customers (the right to be forgotten), from everything that vouch keeps or has written.

It leaves a receipt without names. First everything is searched: who stands nowhere was spelt wrong, and is refused,
unless asked for in advance. Then the tombstones, so that nobody comes back whatever happens after; then each entry of
`vouch.serving.lifecycle.inventory`, and a second search. A run that was interrupted is finished by the next one,
whomever that is for. Numbers of customers in metrics and in models stay: they name nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from vouch.features.engines import as_staged
from vouch.features.errors import UnknownCustomer, UsageError
from vouch.features.ingest import erased as tombstones
from vouch.features.instants import as_datetime
from vouch.serving.lifecycle import receipts
from vouch.serving.lifecycle.inventory import HOLDINGS, unlisted
from vouch.serving.lifecycle.scrubbing import KEY
from vouch.serving.lifecycle.search import search
from vouch.serving.lifecycle.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from pathlib import Path

    from vouch.features.project import Project
    from vouch.serving.lifecycle.receipts import Receipt, Work
    from vouch.serving.lifecycle.search import SearchHits

MEND = "See how they are spelt; or keep them out, should they come, with --in-advance."


def erase(
    project: Project,
    customer_ids: Collection[str],
    now_us: int,
    models_since: Callable[[str | None], list[dict[str, Any]]],
    progress: Callable[[str], None] = lambda _: None,
    *,
    in_advance: bool = False,
) -> Receipt:
    """Erase customers. `models_since` gives the versions of models that learned after a date (None: all of them).

    Who was erased before, and stands nowhere, is told the receipt of then. Call it with the locks of all runs that
    write. Raises UnknownCustomer where one was never seen and is not to be kept out `in_advance`, after the others are
    erased; StoreError where the store does not answer, and SnapshotError where a file cannot be written: run it again
    then.
    """
    home, given, before = project.home, spelt(customer_ids), receipts.unfinished(project.home)
    progress("looking for them")
    begun = [] if before is None else before.customer_ids
    hits = search(Subject(project, frozenset([*given, *begun]), now_us))
    nowhere = [one for one in given if one not in hits.customer_ids and one not in begun]
    buried = tombstones.load(home)
    unknown = [] if in_advance else [one for one in nowhere if buried is None or one not in buried]
    seen = hits.customer_ids
    wanted = [one for one in given if one not in begun and (in_advance or one in seen)]
    positions = [place for place, one in enumerate(customer_ids, 1) if as_staged(one) in unknown]
    if before is None and not wanted:
        if unknown:
            raise UnknownCustomer(len(customer_ids), positions, MEND)
        assert buried is not None
        return receipts.earlier(home, map(buried.hash_of, given))
    work = before or receipts.begin_erasure(now_us)
    _begin(project, work, wanted, hits, models_since)
    receipt = _finish(Subject(project, frozenset(work.customer_ids), now_us), work, progress)
    receipt.unknown = positions
    return receipt


def spelt(customer_ids: Iterable[str]) -> list[str]:
    """Ids as they stand in contract form, each once; raises UsageError where one is nothing then."""
    ids = list(dict.fromkeys(map(as_staged, customer_ids)))
    if not ids or "" in ids:
        raise UsageError("Name the customers by their ids: there is none, or one of nothing but blanks")
    return ids


def _begin(
    project: Project,
    work: Work,
    wanted: list[str],
    hits: SearchHits,
    models_since: Callable[[str | None], list[dict[str, Any]]],
) -> None:
    """Write down whom, and what was found of them, before anything is touched."""
    home = project.home
    work.customer_ids += wanted
    work.in_advance += sum(one not in hits.customer_ids for one in wanted)
    work.add(hits.of(work.customer_ids))
    models = {(model["model"], model["version"]): model for model in work.models}
    models |= {(of["model"], of["version"]): of for of in models_since(_first_seen(home, wanted))} if wanted else {}
    work.models = list(models.values())
    receipts.keep(home, work, tombstones.known(home).hash_of(work.customer_ids[0]))


def _finish(subject: Subject, work: Work, progress: Callable[[str], None]) -> Receipt:
    """Take them out of every entry of the home, and look again."""
    progress("tombstones")
    buried = tombstones.add(subject.home, work.customer_ids)
    for holding in HOLDINGS:
        progress(holding.meaning)
        holding.erase(subject, holding.name)
    progress("looking again")
    after = search(subject)
    for place in sorted({held.place for held in after.counted if held.is_sure and not held.stays}):
        subject.leave(subject.home / place, "still names them")
    for name in unlisted(subject):
        subject.leave(subject.home / name, "no part of vouch")
    return receipts.finish(subject.home, work, sorted(map(buried.hash_of, work.customer_ids)), subject.left)


def _first_seen(home: Path, customer_ids: Iterable[str]) -> str | None:
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

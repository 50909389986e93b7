"""The tone of staged texts by what was learned of rated ones: fitted again and again, never on what came later.

A model is fitted at a Monday on the rated texts known before it, and judges the texts that became known from then on,
until the next one. So the polarity of a text is a fact of the moment when it became known: it hangs on nothing later,
stays what it is, and reads alike at every instant, on every engine and in a request. The first model comes as soon as
there is enough to learn from, the next with each doubling, or a year on; before, and where it does not help, the
lexicon judges. Models lie in `$VOUCH_HOME/sentiment`, named by what they were learned from; each is fitted once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from vouch.features.contract.casts import literal, place, quoted
from vouch.features.contract.tables import DAY_US, TABLES
from vouch.features.durable import as_written, file_digest, sealed, unsealed, write_whole
from vouch.features.engines import OWN
from vouch.features.errors import Damaged
from vouch.features.ingest.inputs import FORM as STAGED_FORM
from vouch.features.ingest.stage_table import TEXTS, row_order
from vouch.features.instants import FIRST_MONDAY_US, WEEK_US
from vouch.features.sentiment.learned import LEAST_TEXTS, RECIPE_VERSION, TextModel, fit
from vouch.features.sentiment.polarity import LEXICON_VERSION, polarity, polarity_from_rating

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from vouch.features.ingest.staging_context import StagingContext

SENTIMENT, CURRENT = "sentiment", "current.json"
"""Folder of a home, and the file in it that names the models in use."""
FORM = 1
LATEST_US = 2**62
"""Later than any text."""
REFIT_DAYS = 365
PROMOTER, PASSIVE = 9, 7
_TIMES = {"surveys": ("own_us", "ingested_us", "responded_us")}


def known_at(table: str) -> pl.Expr:
    """From when on a text of a table in contract form can be known."""
    return pl.max_horizontal(_times(table))


def _times(table: str) -> tuple[str, ...]:
    return _TIMES.get(table, ("own_us", "ingested_us"))


def _known(table: str) -> str:
    return f"greatest({', '.join(_times(table))})"


@dataclass(frozen=True)
class Learned:
    """The models of a company in order, each with the instant from which on it judges new texts."""

    from_us: tuple[int, ...]
    models: tuple[TextModel, ...]

    def polarity(self, texts: pl.Series, known_us: pl.Series) -> pl.Series:
        """Return the polarity in hundredths (Int16) of texts that became known at some instants."""
        frame = pl.DataFrame({"text": texts, "known_us": known_us}).with_row_index("row")
        at = np.searchsorted(self.from_us, frame["known_us"].fill_null(0).to_numpy(), side="right") - 1
        parts = []
        for number, part in frame.with_columns(at=pl.Series(at, dtype=pl.Int64)).group_by("at"):
            judge = polarity if number[0] == -1 else self.models[int(str(number[0]))].polarity
            parts.append(part.select("row", polarity=judge(part["text"])))
        return pl.concat(parts).sort("row")["polarity"] if parts else pl.Series("polarity", [], dtype=pl.Int16)


def learned_of(home: Path) -> Learned | None:
    """The models that the tables of a home were last staged with; None where the lexicon judges alone.

    Raises Damaged where a file is not as it was written.
    """
    try:
        held = (home / SENTIMENT / CURRENT).stat()
    except FileNotFoundError:
        return None
    return _held(home / SENTIMENT, (held.st_mtime_ns, held.st_ino))


def fits_of(home: Path) -> list[dict[str, Any]]:
    """Every fit that the tables of a home were last staged with, the newest last, with how it did (`figures`).

    A fit of which nothing came, so that what was before it judges on, has no `digest`. Raises Damaged where the file is
    not as it was written.
    """
    current = home / SENTIMENT / CURRENT
    return list(unsealed(current)["models"]) if current.exists() else []


@lru_cache(maxsize=4)
def _held(folder: Path, _: tuple[int, int]) -> Learned | None:
    """Read once, until the file that names the models is written anew."""
    return _read(folder, unsealed(folder / CURRENT)["models"])


def _read(folder: Path, entries: Sequence[Mapping[str, Any]]) -> Learned | None:
    models, good = [], [entry for entry in entries if entry["digest"]]
    for entry in good:
        path = folder / f"{entry['name']}.npz"
        if not path.exists() or file_digest(path) != entry["digest"]:
            raise Damaged(path)
        models.append(TextModel.from_bytes(path.read_bytes()))
    return Learned(tuple(entry["from_us"] for entry in good), tuple(models)) if good else None


def show_models(folder: Path, entries: Sequence[Mapping[str, Any]]) -> None:
    """Make `sentiment` of a home hold the models that the staged tables were judged by, and no others."""
    wanted = sealed({"form": FORM, "models": list(entries)})
    current = folder / CURRENT
    if not entries and not folder.exists():
        return
    if not current.exists() or current.read_text(encoding="utf-8") != wanted:
        write_whole(current, wanted)
    named = {CURRENT, *(f"{entry['name']}{suffix}" for entry in entries for suffix in (".npz", ".json"))}
    for path in folder.iterdir():
        if path.suffix in {".npz", ".json"} and path.name not in named:
            path.unlink(missing_ok=True)


def are_models_intact(folder: Path, entries: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the models that staged tables were judged by are as they were written."""
    paths = [(folder / f"{entry['name']}.npz", entry["digest"]) for entry in entries if entry["digest"]]
    return all(path.exists() and file_digest(path) == digest for path, digest in paths)


def judge_staged(staging: StagingContext, names: Iterable[str], folder: Path) -> list[dict[str, Any]]:
    """Fit what can be learned from staged tables, and write the polarity of their texts anew by it.

    `folder` holds the models. Returns an entry for each fit: `from_us`, `name`, `digest` (None
    where nothing came of it), and how it did (`figures`).
    """
    present = [name for name in names if name in TEXTS]
    rated = _rated(staging, present)
    entries = [_fitted(rated, from_us, folder) for from_us in _moments(rated["known_us"].to_list())]
    learned = _read(folder, entries)
    for name in present:
        if learned is not None:
            _judge(staging, name, learned, _judged_before(staging, name, entries))
    return entries


def _moments(known_us: Sequence[int]) -> list[int]:
    """Mondays at which a model is fitted, by when rated texts became known, in order: hangs on none after it."""
    instants: list[int] = []
    wanted, last = LEAST_TEXTS, 0
    for number, instant in enumerate(known_us, start=1):
        is_old = bool(instants) and instant >= last + REFIT_DAYS * DAY_US
        if number >= wanted or is_old:
            monday = instant + WEEK_US - (instant - FIRST_MONDAY_US) % WEEK_US
            if monday == last:
                continue
            instants.append(monday)
            last, wanted = monday, max(2 * number, wanted)
    return instants


def _rated(staging: StagingContext, present: Sequence[str]) -> pl.DataFrame:
    """Texts with the polarity that their rating says, by when both were known: `text`, `rated`, `known_us`, `until_us`.

    A product's rating goes from 1 to its largest; of surveys, satisfaction counts on its scale, and willingness to
    recommend by its classes.
    """
    parts = [pl.DataFrame(schema={"text": pl.String, "rated": pl.Int64, "known_us": pl.Int64, "until_us": pl.Int64})]
    if "feedback" in present:
        by_stars = _versions(staging, "feedback", "rating, rating_max", "rating IS NOT NULL AND rating_max > 1")
        rated = polarity_from_rating(by_stars["rating"], by_stars["rating_max"]).cast(pl.Int64)
        parts.append(by_stars.select("text", rated.alias("rated"), "known_us", "until_us"))
    if "surveys" in present:
        is_rated = "score IS NOT NULL AND scale_max > scale_min AND instrument IN ('nps', 'csat')"
        by_stars = _versions(staging, "surveys", "score, scale_min, scale_max, instrument", is_rated)
        score, low, high = (pl.col(name).cast(pl.Float64) for name in ("score", "scale_min", "scale_max"))
        is_class = pl.when(score >= PROMOTER).then(100).when(score >= PASSIVE).then(0).otherwise(-100)
        linear = (200 * (score - low) / (high - low) - 100).round(0, "half_away_from_zero")
        either = pl.when(pl.col("instrument") == "nps").then(is_class).otherwise(linear).cast(pl.Int64)
        parts.append(by_stars.select("text", either.alias("rated"), "known_us", "until_us"))
    return pl.concat(parts).sort("known_us", "text", "rated", "until_us")


def _versions(staging: StagingContext, name: str, columns: str, condition: str) -> pl.DataFrame:
    text = quoted(TEXTS[name])
    return pl.DataFrame(
        staging.connection.sql(
            f"SELECT {text} AS text, {columns}, {_known(name)} AS known_us, superseded_us AS until_us "
            f"FROM {_file(staging, name)} WHERE {condition} AND NOT is_deleted AND regexp_matches({text}, '\\S')"
        ).to_arrow_table()
    )


def _file(staging: StagingContext, name: str) -> str:
    return f"read_parquet({place(staging.folder / f'{name}.parquet')}, hive_partitioning = false)"


def _fitted(rated: pl.DataFrame, from_us: int, folder: Path) -> dict[str, Any]:
    """The entry of the model learned of what was known before an instant, fitted where that was not done before."""
    is_current = pl.col("until_us").is_null() | (pl.col("until_us") >= from_us)
    known = rated.filter(pl.col("known_us") < from_us, is_current).select("text", "rated")
    content = json.dumps([FORM, RECIPE_VERSION, LEXICON_VERSION, known["text"].to_list(), known["rated"].to_list()])
    name = hashlib.sha256(content.encode()).hexdigest()
    path, facts_path = folder / f"{name}.npz", folder / f"{name}.json"
    facts = as_written(facts_path, FORM)
    if facts is None or not are_models_intact(folder, [_entry(name, from_us, facts)]):
        model = fit(known["text"], known["rated"])
        folder.mkdir(parents=True, exist_ok=True)
        if model:
            write_whole(path, model.to_bytes())
        digest = file_digest(path) if model else None
        facts = {"form": FORM, "digest_of_model": digest, "figures": model.figures if model else {}}
        write_whole(facts_path, sealed(facts))
    return _entry(name, from_us, facts)


def _entry(name: str, from_us: int, facts: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "from_us": from_us, "digest": facts["digest_of_model"], "figures": facts["figures"]}


def _judged_before(staging: StagingContext, name: str, entries: Sequence[Mapping[str, Any]]) -> tuple[str, int] | None:
    """Where texts of a table were judged before by the same models, as SQL, and until when these judged alike.

    A history that grows by a week costs a week: what was said before is not judged again.
    """
    judged = []
    for path in staging.published.glob("[!.]*/manifest.json"):
        manifest, table = as_written(path, STAGED_FORM), path.with_name(f"{name}.parquet")
        if manifest is not None and table.is_file() and table.name in manifest["files"]:
            until_us = _alike_until(entries, manifest["sentiment"])
            judged.append((until_us, table.stat().st_size, table, manifest["files"][table.name]["digest"]))
    for until_us, _, table, digest in sorted(judged, reverse=True):
        if file_digest(table) == digest:
            return f"read_parquet({place(table)}, hive_partitioning = false)", until_us
    return None


def _alike_until(entries: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> int:
    """From when on another model judges by one of two lists than by the other."""
    ours, theirs = ([(of["from_us"], of["name"], of["digest"]) for of in models] for models in (entries, others))
    parted = ((one, other) for one, other in zip_longest(ours, theirs) if one != other)
    return min((of[0] for of in next(parted, ()) if of is not None), default=LATEST_US)


def _judge(staging: StagingContext, name: str, learned: Learned, before: tuple[str, int] | None) -> None:
    """Write a staged table anew, with the polarity of unrated texts that became known since the first model."""
    text, known, first = quoted(TEXTS[name]), _known(name), learned.from_us[0]
    unrated = f"{text} IS NOT NULL AND {known} >= {first}"
    if name == "feedback":
        unrated += " AND (rating IS NULL OR rating_max IS NULL OR rating_max <= 1)"
    prior, until_us = before or (_file(staging, name), first)
    staging.rows(
        f"CREATE OR REPLACE TABLE {OWN}.tones AS SELECT {text} AS said, {known} AS at_us, "
        f"CAST(any_value(polarity) AS BIGINT) AS tone FROM {prior} "
        f"WHERE {unrated} AND {known} < {until_us} GROUP BY ALL"
    )
    judged_texts = pl.DataFrame(
        staging.connection.sql(
            f"SELECT DISTINCT {text} AS said, {known} AS at_us FROM {_file(staging, name)} WHERE {unrated} "
            f"AND NOT EXISTS (FROM {OWN}.tones WHERE said = {text} AND at_us = {known})"
        ).to_arrow_table()
    )
    judged = judged_texts.with_columns(
        learned.polarity(judged_texts["said"], judged_texts["at_us"]).cast(pl.Int64).alias("tone")
    )
    staging.connection.register("judged", judged.to_arrow())
    staging.rows(f"INSERT INTO {OWN}.tones FROM judged")
    staging.connection.unregister("judged")
    draft = staging.folder / f"{name}.judged"
    rows = (
        f"SELECT content.* REPLACE (CASE WHEN {unrated} THEN tones.tone ELSE polarity END AS polarity) "
        f"FROM {_file(staging, name)} content LEFT JOIN {OWN}.tones tones "
        f"ON tones.said = content.{text} AND tones.at_us = {known}"
    )
    ordered = f"SELECT * FROM ({rows}) staged ORDER BY {row_order(TABLES[name], 'staged')}"
    staging.rows(f"COPY ({ordered}) TO {literal(str(draft))} (FORMAT parquet)")
    draft.replace(staging.folder / f"{name}.parquet")

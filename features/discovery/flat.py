"""Flat tables: one row per customer, read as columns that a model can learn from, with what is left out and why.

The commonest churn data have no history: a file with a label. Every column is used but the id, the label, the time,
columns that say nothing, and leaks: those that tell what became of the customer, by their names or by their figures.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vouch.features.contract.casts import family_of, quoted, raw
from vouch.features.discovery.columns import profiled
from vouch.features.discovery.files import find_files
from vouch.features.durable import file_digest
from vouch.features.engines import FAILURES, connect, first_line
from vouch.features.errors import DataError, UsageError, did_you_mean
from vouch.features.instants import SECOND_US
from vouch.features.naming.words import name_likeness, phrase_of_reason, tokens
from vouch.features.statistics.few import FEWEST, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pandas as pd

    from vouch.features.discovery.columns import ColumnProfile, Source
    from vouch.features.engines import Connection
    from vouch.features.project import Project

MOST_CATEGORIES = 64
NUMBER, CATEGORY, DAYS = "number", "category", "days"
_TRUE = (
    "yes", "true", "1", "y", "t", "churn", "churned", "left", "exited", "cancelled", "canceled", "lost", "gone", "ja",
    "oui", "si", "sim", "da", "예", "attrited customer", "closed",
)  # fmt: skip


IN_A_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
DIGITS = "%Y%m%d"


@dataclass(frozen=True)
class FlatColumn:
    """One column as a model reads it: its name there, the column of the file, and how it is read."""

    name: str
    column: str
    kind: str
    categories: tuple[str, ...] | None = None
    is_sensitive: bool = False


@dataclass(frozen=True)
class FlatTable:
    """Rows of a flat table: who, what is known, the label where one was asked for, and when."""

    columns: tuple[FlatColumn, ...]
    frame: pd.DataFrame
    """One column per column of a model: float64, or texts of a category."""
    ids: np.ndarray[Any, Any]
    label: np.ndarray[Any, np.dtype[np.float64]]
    times: np.ndarray[Any, np.dtype[np.int64]] | None = None
    """Instants in microseconds, where the table has a time."""
    positive: str = ""
    """What stands in the label where it is 1."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""


def read_flat(
    project: Project,
    path: Path,
    *,
    label: str,
    key: str | None = None,
    time: str | None = None,
    taken: Sequence[str] = (),
    left_out: Sequence[str] = (),
) -> FlatTable:
    """Read a table to learn from.

    Args:
        project: limits of the engine.
        path: a file of any form that `vouch init` reads.
        label: the column that says what came true; rows without it are left out.
        key: the column with the customer; without it the number of the row is the id.
        time: the column with the instant that a row is known at.
        taken: columns to take although they look like leaks.
        left_out: columns to leave out.

    Raises UsageError for a column that is not there, DataError for a label that is no yes or no.
    """
    with _opened(project, path) as (connection, source):
        for name in (label, key, time, *taken, *left_out):
            _check_named(source, name)
        if time is not None and source.columns[time].holds != "time":
            raise DataError(f"The time {time!r} must be a date or an instant in every row")
        frame = _frame(connection, source)
        left_for: dict[str | None, str] = {label: "the label", key: "the id", time: "the time"}
        left_for |= dict.fromkeys(left_out, "as it was asked for")
        known = frame[label].notna()
        frame = frame[known].reset_index(drop=True)
        values, positive = _label(frame[label], label)
        apart = {name: why for name, why in left_for.items() if name is not None}
        columns, reasons = _columns(source, frame, values, apart, has_time=time is not None, taken=taken)
        times = None if time is None else _times(frame[time], time)
        ids = _ids(frame, key)
        made = _encoded(frame, columns, times)
    digest = file_digest(path)
    return FlatTable(tuple(columns), made, ids, values, times, positive, reasons, digest)


def read_flat_rows(
    project: Project, path: Path, columns: Sequence[FlatColumn], key: str | None, time: str | None
) -> FlatTable:
    """Read a table to score: the columns that a model knows. Raises UsageError where one is missing."""
    with _opened(project, path) as (connection, source):
        for name in (key, time, *(column.column for column in columns)):
            _check_named(source, name)
        frame = _frame(connection, source)
    times = None if time is None else _times(frame[time], time)
    return FlatTable(tuple(columns), _encoded(frame, columns, times), _ids(frame, key), np.zeros(len(frame)), times)


@contextmanager
def _opened(project: Project, path: Path) -> Iterator[tuple[Connection, Source]]:
    """One file as a source, on an engine that is closed with it; raises DataError where the engine cannot read it."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name the one file that is the table")
    files, left = find_files([path])
    if not files:
        raise DataError(" ".join(left) or f"{path} holds no table")
    with tempfile.TemporaryDirectory() as folder, closing(connect(project, Path(folder))) as connection:
        try:
            yield connection, profiled(connection, files[0], Path(folder) / "rewritten")
        except FAILURES as error:
            raise DataError(f"{path}: cannot be read: {first_line(error)}") from error


def _check_named(source: Source, name: str | None) -> None:
    if name is not None and name not in source.columns:
        listed = ", ".join(source.columns)
        raise UsageError(
            f"{source.path.name} has no column {name!r}{did_you_mean(name, source.columns)}; there are: {listed}"
        )


def _frame(connection: Connection, source: Source) -> pd.DataFrame:
    """All columns as what they hold: numbers, texts, instants; null where nothing stands."""
    cells = ", ".join(f"{_cell(source, column)} AS {quoted(column.name)}" for column in source.columns.values())
    frame: pd.DataFrame = connection.sql(f"SELECT {cells} FROM {source.sql}").to_arrow_table().to_pandas()
    return frame


def _cell(source: Source, column: ColumnProfile) -> str:
    given = raw(quoted(column.name), family_of(column.physical), is_csv=source.is_csv, name=column.name)
    if column.holds in {"number", "integer"}:
        return f"TRY_CAST({given} AS DOUBLE)"
    if column.holds == "time":
        return _time_cell(given, column.forms[0] if column.forms else "")
    if column.holds == "boolean" and not column.is_text:
        return f"CAST({given} AS VARCHAR)"
    return f"CAST({given} AS VARCHAR)"


def _time_cell(given: str, form: str) -> str:
    """A time as microseconds since 1970: a count from then, the digits of a date, or what the engine reads."""
    text = f"CAST({given} AS VARCHAR)"  # a file of text comes with its times rewritten, others as they are
    read = f"epoch_us(TRY_CAST({text} AS TIMESTAMP))"
    unit = form.removeprefix("epoch ")
    if unit in IN_A_SECOND:
        return f"coalesce(CAST(TRY_CAST({text} AS DOUBLE) * {SECOND_US // IN_A_SECOND[unit]} AS BIGINT), {read})"
    if form == DIGITS:
        return f"coalesce({read}, epoch_us(try_strptime({text}, '{DIGITS}')))"
    return f"epoch_us(TRY_CAST({given} AS TIMESTAMP))"


def _label(values: pd.Series[Any], name: str) -> tuple[np.ndarray[Any, np.dtype[np.float64]], str]:
    """The label as 0 and 1, and what stood where it is 1. Raises DataError where it has not two values."""
    texts = values.map(lambda value: f"{value:g}" if isinstance(value, float) else str(value))
    counts = Counter(texts)
    if len(counts) != 2:
        shown = ", ".join(sorted(counts)[:5])
        raise DataError(f"The label {name!r} must have two values, and has {len(counts)} ({shown}...)")
    truthy = [value for value in counts if value.strip().lower() in _TRUE or name_likeness(value, _TRUE) >= 0.9]
    positive = truthy[0] if len(truthy) == 1 else min(counts, key=lambda value: (counts[value], value))
    return (texts == positive).to_numpy(np.float64), positive


def _times(values: pd.Series[Any], name: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    if values.isna().any():
        raise DataError(f"The time {name!r} must be a date or an instant in every row")
    return values.to_numpy(np.int64)


def _ids(frame: pd.DataFrame, key: str | None) -> np.ndarray[Any, Any]:
    """The customer of each row; the number of the row where no column says it."""
    if key is None:
        return np.array([str(number) for number in range(len(frame))], dtype=object)
    values = frame[key]
    texts = values.map(lambda value: f"{value:.0f}" if isinstance(value, float) else str(value))
    return texts.to_numpy(dtype=object)


def _columns(
    source: Source,
    frame: pd.DataFrame,
    label: np.ndarray[Any, np.dtype[np.float64]],
    apart: Mapping[str, str],
    *,
    has_time: bool,
    taken: Sequence[str],
) -> tuple[list[FlatColumn], dict[str, str]]:
    """The columns to learn from, and the others with the reason."""
    columns: list[FlatColumn] = []
    reasons: dict[str, str] = {}
    for profile in source.columns.values():
        values = frame[profile.name]
        why = apart.get(profile.name) or _why_not(profile, values, label, has_time=has_time)
        if why.startswith("a leak") and profile.name in taken:
            why = ""
        if why:
            reasons[profile.name] = why
            continue
        made = _column(profile, values, {column.name for column in columns})
        if made.categories is not None and len(made.categories) < 2 and not values.isna().any():
            reasons[profile.name] = "too few rows of any value but one"
            continue
        columns.append(made)
    if not columns:
        raise DataError(
            "No column is left to learn from: " + "; ".join(f"{name}: {why}" for name, why in reasons.items())
        )
    return columns, reasons


def _why_not(
    profile: ColumnProfile, values: pd.Series[Any], label: np.ndarray[Any, np.dtype[np.float64]], *, has_time: bool
) -> str:
    """Why a column is not learned from; empty where it is."""
    if not values.notna().any():
        return "it is empty"
    if leak := phrase_of_reason(profile.name, "leak"):
        return f"a leak: by its name ({leak}) it says what became of the customer"
    if why := leak_by_figures(values, label):
        return why
    if values.nunique(dropna=False) < 2:
        return "it has one value throughout"
    if profile.holds == "time" and not has_time:
        return "a date says nothing that holds on another day, unless --time names the day of a row"
    is_text = profile.holds == "text"
    if is_text and profile.distinct > 0.9 * profile.filled and profile.distinct > MOST_CATEGORIES:
        return "nearly every row has a text of its own"
    words = tokens(profile.name)
    is_numbered = (
        profile.holds == "integer" and profile.is_unique and bool({"id", "no", "number", "key", "nr"} & set(words))
    )
    return "a number of the row" if is_numbered else ""


LEAK_AUC = 0.985
"""One column alone that ranks the outcome so well tells it."""
FILLED_OF_STAYERS, FILLED_OF_LEAVERS = 0.005, 0.05


def leak_by_figures(values: pd.Series[Any], label: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """Why figures say that a column tells the outcome, empty where they do not."""
    left, stayed = label == 1, label == 0
    is_filled = values.notna().to_numpy()
    if is_filled[left].mean() >= FILLED_OF_LEAVERS and is_filled[stayed].mean() <= FILLED_OF_STAYERS:
        return f"a leak: it is filled in for {is_filled[left].mean():.0%} of those who left and hardly for others"
    if is_filled[stayed].mean() >= 0.95 and is_filled[left].mean() <= 0.05:
        return "a leak: it is empty for nearly all who left"
    auc = power(values, label)
    return f"a leak: by itself it ranks the outcome almost perfectly (ROC-AUC {auc:.3f})" if auc >= LEAK_AUC else ""


def power(values: pd.Series[Any], label: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """ROC-AUC of one column alone, turned so that it is at least a half; of a category by the share on other rows."""
    import pandas as pd
    from scipy.stats import rankdata

    score: np.ndarray[Any, Any]
    if values.dtype.kind in "fi":
        score = values.fillna(values.min() - 1).to_numpy(np.float64)
    else:
        codes = pd.factorize(values, use_na_sentinel=False)[0]
        half, score = np.arange(len(codes)) % 2, np.empty(len(codes))
        for here in (0, 1):
            other = half != here
            rows = np.bincount(codes[other], minlength=codes.max() + 1)
            total = np.bincount(codes[other], weights=label[other], minlength=codes.max() + 1)
            score[half == here] = ((total + label.mean()) / (rows + 1))[codes[half == here]]
    ranks, ones = rankdata(score), float(label.sum())
    area = (ranks[label == 1].sum() - ones * (ones + 1) / 2) / (ones * (len(label) - ones))
    return float(max(area, 1 - area))


def _column(profile: ColumnProfile, values: pd.Series[Any], used: set[str]) -> FlatColumn:
    name = _feature_name(profile.name, used)
    is_sensitive = phrase_of_reason(profile.name, "sensitive") is not None
    if profile.holds in {"number", "integer"}:
        return FlatColumn(name, profile.name, NUMBER, None, is_sensitive)
    if profile.holds == "time":
        return FlatColumn(name, profile.name, DAYS, None, is_sensitive)
    counts = values.dropna().astype(str).value_counts()
    named = [str(value) for value, rows in counts.items() if rows >= FEWEST][:MOST_CATEGORIES]
    rest = int(counts.sum() - counts[named].sum())
    categories = tuple(sorted({*named, *([OTHER] if rest >= FEWEST else [])}))
    return FlatColumn(name, profile.name, CATEGORY, categories, is_sensitive)


def _feature_name(column: str, used: set[str]) -> str:
    """A column's name as bundles write names: small letters, digits and underscores.

    >>> _feature_name("Call  Failure", set()), _feature_name("2nd Line?", {"c2nd_line"})
    ('call_failure', 'c2nd_line_2')
    """
    made = re.sub(r"[^a-z0-9]+", "_", "_".join(re.findall(r"[A-Za-z0-9]+", column)).lower()).strip("_")[:56]
    if not made or not made[0].isalpha():
        made = f"c{made}"
    name, number = made, 2
    while name in used:
        name, number = f"{made}_{number}", number + 1
    return name


def _encoded(
    frame: pd.DataFrame, columns: Iterable[FlatColumn], times: np.ndarray[Any, np.dtype[np.int64]] | None
) -> pd.DataFrame:
    """The columns as a model reads them; a date as days before the time of its row."""
    import pandas as pd

    made: dict[str, Any] = {}
    for column in columns:
        values = frame[column.column]
        if column.kind == CATEGORY:
            made[column.name] = values.astype("object").where(values.notna(), None)
        elif column.kind == DAYS and times is not None:
            made[column.name] = (times - values.astype("float64")) / 86_400_000_000
        else:
            made[column.name] = pd.to_numeric(values, errors="coerce").astype("float64")
    return pd.DataFrame(made)

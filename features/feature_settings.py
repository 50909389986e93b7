"""Feature settings of a project file: features in one line each, and what is taken of columns that nobody declared.

`[features.long_visits] table = "visits", value = "minutes", how = "mean", days = [28, 90]` is a feature. The same lines
are written for a company's own columns and tables by themselves, so that there is one way to make a feature of them.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.errors import ConfigurationError, did_you_mean
from vouch.features.settings import Part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOWS: Mapping[str, str] = {
    "count": "rows, or rows in which the value is `equals`",
    "active_days": "distinct days with a row",
    "sum": "sum of a number",
    "mean": "mean of a number",
    "min": "smallest number",
    "max": "largest number",
    "spread": "standard deviation of a number",
    "share": "share of rows in which the value is true, or is `equals`",
    "distinct": "distinct values",
    "last": "value of the latest row that has one",
    "growth": "rows, or the sum of a number, against the same span before",
    "trend": "mean of a number less the mean of the same span before",
    "days_since": "days since the latest row, or the latest in which the value is `equals`",
    "days_since_first": "days since the first row",
    "age": "days since the latest date that the column holds",
    "rate": "rows per 28 days since the first row",
}
"""What a line can make of the rows of a customer."""
OF_VALUES = frozenset({"sum", "mean", "min", "max", "spread", "share", "distinct", "last", "trend", "age"})
"""What takes a value."""
IN_WINDOWS = frozenset({"growth", "trend"})
"""What takes windows."""
OF_ALL = frozenset({"rate"})
"""What takes none."""
LONGEST_DAYS = 3650
_NAME = re.compile(r"[a-z][a-z0-9_]*$")
_KEYS: Mapping[str, type] = {
    "table": str, "value": str, "how": str, "days": list, "equals": str, "words": str, "sensitive": bool,
}  # fmt: skip
_SETTINGS: Mapping[str, type] = {"own": bool, "take": list, "leave_out": list}


@dataclass(frozen=True)
class FeatureLine:
    """One feature per window, in one line: what is made of which column of a table.

    Attributes:
        name: name of the features, before the window.
        table: the table whose rows are read.
        how: one of `HOWS`.
        value: column of the table, where `how` takes one.
        days: windows; none is the whole life.
        equals: the value that rows are counted for, where that is meant.
        words: what people read in place of the column's name.
        is_sensitive: whether only models that may read sensitive features do.
    """

    name: str
    table: str
    how: str
    value: str | None = None
    days: tuple[int, ...] = ()
    equals: str | None = None
    words: str | None = None
    is_sensitive: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The line as JSON keeps it."""
        return {**asdict(self), "days": list(self.days)}

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> FeatureLine:
        """The line that JSON kept."""
        return cls(**{**raw, "days": tuple(raw["days"])})


@dataclass(frozen=True)
class FeatureSettings:
    """What a company says of features of its own.

    With `own` false nothing is made that is not declared. `take` and `leave_out` name columns as `table.column`, or
    whole tables; what is taken is taken whatever its name says.
    """

    own: bool = True
    take: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    lines: tuple[FeatureLine, ...] = ()


def parse_features(path: Path, raw: Any) -> FeatureSettings:
    """Read `[features]`: settings, and one table for each feature. Raises ConfigurationError."""
    whole = Part(path, "[features]", raw)
    lines = {name: line for name, line in whole.raw.items() if isinstance(line, dict)}
    part = Part(path, "[features]", {name: of for name, of in whole.raw.items() if name not in lines}).only(_SETTINGS)
    return FeatureSettings(
        own=part.raw.get("own", True),
        take=part.names("take"),
        leave_out=part.names("leave_out"),
        lines=tuple(_line(path, name, line) for name, line in lines.items()),
    )


def _line(path: Path, name: str, raw: Mapping[str, Any]) -> FeatureLine:
    part = Part(path, f"[features.{name}]", raw).only(_KEYS)
    given = part.raw
    if not _NAME.match(name):
        raise ConfigurationError(f"{part.where}: a feature is called by lower-case letters, digits and underscores")
    how = given.get("how", "mean" if "value" in given else "count")
    if "table" not in given:
        raise ConfigurationError(f'{part.where} needs `table = "..."`')
    if how not in HOWS:
        raise ConfigurationError(f"{part.where}: how = {how!r} is none of {', '.join(HOWS)}{did_you_mean(how, HOWS)}")
    if how in OF_VALUES and "value" not in given:
        raise ConfigurationError(f'{part.where}: how = "{how}" needs `value = "..."`, a column of the table')
    if "equals" in given and ("value" not in given or how not in {"count", "share", "days_since"}):
        raise ConfigurationError(f"{part.where}: `equals` goes with a value, and with count, share or days_since")
    days = given.get("days", [])
    if any(isinstance(of, bool) or not isinstance(of, int) or not 1 <= of <= LONGEST_DAYS for of in days):
        raise ConfigurationError(f"{part.where}: 'days' must be whole numbers from 1 to {LONGEST_DAYS}")
    if (how in IN_WINDOWS and not days) or (how in OF_ALL and days):
        raise ConfigurationError(f'{part.where}: how = "{how}" {"takes no" if days else "needs"} `days = [28]`')
    return FeatureLine(
        name=name,
        table=given["table"],
        how=how,
        value=given.get("value"),
        days=tuple(days),
        equals=given.get("equals"),
        words=given.get("words"),
        is_sensitive=given.get("sensitive", False),
    )

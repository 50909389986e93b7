"""The error tree: every error that vouch raises on purpose.

Bottom layer: imports nothing of ours.

VouchError
├── UsageError            the command or the request is wrong                      exit 2
├── DataError             a table, file, column or value is not what the contract says   exit 1
│   ├── Damaged               a file that vouch has written is not as it was written
│   ├── SourceUnreadable      a file or relation that cannot be read or decoded
│   ├── MissingTable          a required table is absent
│   ├── MissingColumn         a required column is absent
│   └── WrongType             a column holds the wrong type throughout
├── DefinitionError       a feature, metric or model definition is not sound       exit 1
├── ConfigurationError    vouch.toml or a setting is wrong                         exit 1
├── MissingExtra          an optional library is not installed                     exit 1
├── BundleError           a model bundle is damaged or made for other definitions  exit 1
├── SnapshotError         a snapshot is missing, damaged or cannot be written      exit 1
├── StoreError            the serving store cannot be reached or read              exit 1
├── BackupError           a back-up cannot be made, or is not whole                exit 1
├── TrackingError         the tracking server or its database does not answer      exit 1
├── UnknownCustomer       nothing is held on a customer who was named             exit 1
├── Locked                another run holds the lock                               exit 3
└── Refused               a guard or a gate said no                                exit 4
    └── NoOutcome             the company has no table that a model could learn from

Each message names the place and the mend. HTTP statuses live in the service, not here.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def did_you_mean(wanted: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the nearest name, or an empty string."""
    near = difflib.get_close_matches(wanted, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


class VouchError(Exception):
    """Base of all errors raised on purpose; `code` is stable and spoken by files and the API."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1


class UsageError(VouchError):
    """A command or request that cannot be meant as it stands."""

    code = "usage"
    exit_code = 2


class DataError(VouchError):
    """A company's data is not what the contract says."""

    code = "data"


class Damaged(DataError):
    """A file that vouch has written is not as it was written."""

    code = "damaged"

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is damaged. Delete the folder {path.parent}, and run again.")
        self.path = path


class SourceUnreadable(DataError):
    """A file or relation cannot be read or decoded."""

    code = "source_unreadable"


class MissingTable(DataError):
    """A required table is absent."""

    code = "missing_table"


class MissingColumn(DataError):
    """A table misses a required column."""

    code = "missing_column"

    def __init__(self, table: str, column: str, known: Iterable[str]) -> None:
        super().__init__(
            f"Table {table!r} has no column {column!r}{did_you_mean(column, known)}; there are: {', '.join(known)}. "
            f'Map it in vouch.toml: [tables.{table}] columns = {{ {column} = "..." }}'
        )


class WrongType(DataError):
    """A column holds the wrong type throughout."""

    code = "wrong_type"

    def __init__(self, table: str, column: str, wanted: str, example: str) -> None:
        """`example` says where a value stands and what it looks like, never the value: it is a customer's."""
        super().__init__(
            f"Table {table!r}, column {column!r}: no value can be read as {wanted} (for example {example}). "
            f"Map another column in vouch.toml, or convert this one with a query under [tables.{table}]."
        )


class DefinitionError(VouchError):
    """A feature, metric or model definition is not sound."""

    code = "definition"


class ConfigurationError(VouchError):
    """A project file or a setting is wrong."""

    code = "configuration"


class MissingExtra(VouchError):
    """A library that is optional, or the system's own, is not installed."""

    code = "missing_extra"


class BundleError(VouchError):
    """A model bundle is damaged, or was made for other definitions."""

    code = "bundle"


class SnapshotError(VouchError):
    """A snapshot is missing, damaged or cannot be written."""

    code = "snapshot"


class StoreError(VouchError):
    """The serving store cannot be reached, read or written."""

    code = "store"


class BackupError(VouchError):
    """A back-up cannot be written, or is not as it was written."""

    code = "backup"


class TrackingError(VouchError):
    """The tracking server, or the database in its place, does not answer."""

    code = "tracking"


class UnknownCustomer(VouchError):
    """Nothing is held on customers who were named by their ids, which are not repeated."""

    code = "unknown_customer"

    def __init__(self, given: int, places: Sequence[int], mend: str) -> None:
        """`places` tells which of so many ids they are, counted from 1."""
        which = "" if given == 1 else f" (number {', '.join(map(str, places))} of {given})"
        what = "The id was" if len(places) == 1 else f"{len(places):,} ids were"
        super().__init__(f"{what} found nowhere{which}, and nothing was done about it. {mend}")


class Locked(VouchError):
    """Another run holds the lock."""

    code = "locked"
    exit_code = 3


class Refused(VouchError):
    """A guard or a gate said no."""

    code = "refused"
    exit_code = 4


class NoOutcome(Refused):
    """The company has no table that a model could learn its outcome from: nothing failed, the model is not for it."""

    code = "no_outcome"

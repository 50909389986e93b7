"""Verdicts on own columns: taken, or left out as sensitive, personal, a leak, or saying nothing.

A table whose rows have a time says what was known when. A column of `customers` has none: what became of a customer
since stands there beside what was always so, and is told apart by its name and by its figures (`outcome`). So it is
with the columns of a parent.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vouch.features.naming.words import phrase_of_reason, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.feature_settings import FeatureSettings
    from vouch.features.ingest.own.kinds import Held

LONG_TEXT = 60
"""A text of so many signs on average is written for people."""
MOSTLY = 0.5
_OWNERS = frozenset(
    {
        "first", "last", "full", "sur", "middle", "user", "account", "company", "customer", "client", "contact",
        "person", "owner", "agent", "member", "display", "nick", "login", "sales", "rep", "manager",
    }
)  # fmt: skip
"""Words before `name` that make it the name of somebody; others make it the name of a thing."""


@dataclass(frozen=True)
class OwnColumn:
    """What became of one own column, or of a whole table (`column` is empty): taken or not, and why.

    `features` counts what was made of it.
    """

    table: str
    column: str
    is_taken: bool
    told: str
    features: int = 0
    origin: str = ""
    """The column that it is read from, as the relation calls it."""

    def as_dict(self) -> dict[str, Any]:
        """The verdict as JSON keeps it."""
        return asdict(self)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> OwnColumn:
        """The verdict that JSON kept."""
        return cls(**raw)


def why_left_out(
    table: str,
    column: str,
    held: Held,
    settings: FeatureSettings,
    *,
    is_dated: bool,
    is_key: bool = False,
    is_of_parent: bool = False,
    outcome: str | None = None,
) -> str | None:
    """Return why a column is left out, the gravest reason first; None where it is taken.

    A column of a parent is judged by its own name, and no time of the row says since when the parent is so; `is_key`
    says that it leads to a parent, whatever that is called. `outcome` is how its figures tell what came later.
    """
    place = f"{table}.{column}"
    if {place, table} & {*settings.leave_out}:
        return "left out in vouch.toml"
    if place in settings.take:
        return None
    if not held.filled:
        return "it is empty"
    column, is_current = held.name.rpartition(".")[2], is_of_parent or not is_dated
    if is_current and (leak := phrase_of_reason(column, "leak")):
        return f"a leak: by its name ({leak}) it says what became of the customer, and no time says since when"
    if outcome:
        return f"a leak: {outcome}; it may be taken in by name"
    if not is_key and (sensitive := phrase_of_reason(column, "sensitive")):
        return f"sensitive, by its name ({sensitive}); it may be taken in by name"
    if personal := _personal(column):
        return f"personal, by its name ({personal})"
    if held.kind == "text" and held.at > MOSTLY:
        return "personal: its values are e-mail addresses"
    if is_current and (today := phrase_of_reason(column, "today")):
        return f"a leak: by its name ({today}) it says how things stand today, and no time says since when"
    if not is_dated and held.kind == "time":
        return "a date that may have been written over: it would tell earlier instants what came later"
    if held.distinct == 1 and held.filled == held.rows:
        return "it has one value throughout"
    if held.kind == "text" and held.names_row:
        return "another value in each row: it names the row"
    if held.kind == "text" and held.length > LONG_TEXT:
        return "a text that is written for people"
    return None


def _personal(column: str) -> str | None:
    reason = phrase_of_reason(column, "personal")
    words = tokens(column)
    if reason == "name" and len(words) > 1 and not _OWNERS & set(words):
        return None  # the name of a thing
    return reason

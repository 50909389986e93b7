"""Accounts of a week: customers that belong together, with who is most in danger, the mean, and what is at stake.

Each figure of an account is called by its name, for none of them says it all: the most endangered customer, the mean
probability weighted by revenue, and the revenue at risk as a sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vouch.serving.asking.by_rules import SILENT_DAYS
from vouch.serving.weekly.people import folded_column

if TYPE_CHECKING:
    from vouch.serving.store.mapped import Rows
    from vouch.serving.weekly.standing import Standing


@dataclass(frozen=True)
class Accounts:
    """One row per account in `frame`, the most revenue at risk first, and the rows of the week of each."""

    frame: pd.DataFrame
    rows: dict[str, np.ndarray[Any, np.dtype[np.intp]]]
    texts: np.ndarray[Any, np.dtype[np.object_]]
    """What each one is found by."""

    def matching(self, text: str, owners: tuple[str, ...]) -> pd.DataFrame:
        """The accounts of these owners, all without any, whose name or id has a word that begins so."""
        keep = np.ones(len(self.frame), dtype=bool)
        for word in text.split():
            keep &= np.fromiter((f" {word}" in held for held in self.texts), dtype=bool, count=len(self.texts))
        if owners:
            keep &= self.frame["owner"].isin(owners).to_numpy()
        return self.frame.loc[keep]


def week_accounts(scores: Rows, customers: Rows, standing: Standing) -> Accounts:
    """Sum up the accounts of a week; who has left belongs to none any more."""
    named = {name: _texts(customers, name) for name in ("account_id", "account_name", "owner", "currency")}
    silent = customers.column("silent_days").to_numpy() if "silent_days" in customers.schema.names else np.nan
    rows = pd.DataFrame(
        {
            **named,
            "row": np.arange(len(scores)),
            "mrr": standing.mrr,
            "at_risk": standing.at_risk,
            "probability": standing.probability,
            "is_high": standing.is_high,
            "is_silent": silent >= SILENT_DAYS,
        }
    )
    rows = rows.loc[standing.is_here & rows["account_id"].notna().to_numpy()]
    frame = _summed(rows).sort_values(["at_risk", "account_id"], ascending=[False, True], ignore_index=True)
    places = {str(name): of.to_numpy() for name, of in rows.groupby("account_id")["row"]}
    texts = pd.Series(
        [f"{name or ''} {held}" for name, held in zip(frame["account_name"], frame["account_id"], strict=True)]
    )
    return Accounts(frame, places, folded_column(texts.to_numpy(dtype=object)))


def _texts(customers: Rows, name: str) -> pd.Series[Any]:
    """A column of texts; none in weeks of an earlier version."""
    if name not in customers.schema.names:
        return pd.Series(None, index=range(len(customers)), dtype=object)
    texts: pd.Series[Any] = customers.column(name).to_pandas()
    return texts


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per account."""
    known = rows.assign(
        of_risk=rows["probability"].mul(rows["mrr"]),
        of_known=rows["mrr"].where(rows["probability"].notna()),
        worst=rows["probability"].fillna(-1.0),
    )
    groups = known.groupby("account_id", sort=True)
    sums = groups.agg(
        account_name=("account_name", "first"),
        owner=("owner", "first"),
        currency=("currency", "first"),
        currencies=("currency", "nunique"),
        customers=("row", "size"),
        silent=("is_silent", "sum"),
        high=("is_high", "sum"),
        mrr=("mrr", lambda of: of.sum(min_count=1)),
        largest=("mrr", "max"),
        at_risk=("of_risk", lambda of: of.sum(min_count=1)),
        known=("of_known", "sum"),
    )
    mixed = sums.pop("currencies") > 1
    for column in ("mrr", "at_risk", "largest", "known"):  # no sum goes over several currencies
        sums[column] = sums[column].mask(mixed)
    sums["currency"] = sums["currency"].mask(mixed)
    worst = known.loc[groups["worst"].idxmax(), ["account_id", "row", "probability"]].set_index("account_id")
    return sums.assign(
        most_endangered_row=worst["row"],
        most_endangered=worst["probability"],
        mean=(sums["at_risk"] / sums["known"]).where(sums["known"] > 0),
        concentration=(sums["largest"] / sums["mrr"]).where(sums["mrr"] > 0),
    ).reset_index()

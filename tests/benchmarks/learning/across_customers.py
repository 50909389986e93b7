"""Kinds of feature that look at other customers: peers' outcomes, the company's own weather, who is tied to whom.

They are made of rows that have their vectors already, as known at each instant: of outcomes only those that were final
by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from vouch.features.contract.tables import DAY_US
from vouch.training.dataset import Dataset

PEERS_OF = ("plan", "subscription_plan", "segment", "region", "country", "acquisition_source")
TENURES = (30, 60, 90, 180, 365)
"""Days at which bands of tenure begin."""
PRIOR = 50.0
"""Rows that the company's rate weighs in that of a group."""
WEATHER = ("usage_events", "tickets", "spend")
"""What is compared, 4 weeks against 13."""
Columns = dict[str, np.ndarray[Any, Any]]


def values(data: Dataset) -> pd.DataFrame:
    """The encoded features of all rows by name, with `customer_id` and `as_of_us`."""
    names = [column.name for column in data.columns]
    frame = pd.DataFrame(data.train.matrix, columns=names)
    return frame.assign(customer_id=data.train.customers, as_of_us=data.train.as_of_us, label=data.train.label)


def shrunk_rates(groups: pd.Series, label: pd.Series, prior: float = PRIOR) -> tuple[pd.Series, float]:
    """The rate of an outcome by group, drawn to that of all, which comes second."""
    found, rate = label.groupby(groups).agg(["sum", "count"]), float(label.mean())
    return (found["sum"] + prior * rate) / (found["count"] + prior), rate


def peers(frame: pd.DataFrame, matured_days: int) -> Columns:
    """The rate of the outcome among customers alike, over the rows whose outcome was final at the instant."""
    groups = {name: frame[name].fillna(-1.0) for name in PEERS_OF if name in frame}
    groups["tenure"] = pd.Series(np.digitize(frame["tenure_days"], TENURES), index=frame.index)
    made = {f"peers_{name}": np.full(len(frame), np.nan) for name in groups}
    for instant in np.unique(frame["as_of_us"]):
        final = frame["as_of_us"] + matured_days * DAY_US <= instant
        here = (frame["as_of_us"] == instant).to_numpy()
        if final.any():
            for name, of in groups.items():
                rates, rate = shrunk_rates(of[final], frame.loc[final, "label"])
                made[f"peers_{name}"][here] = of[here].map(rates).fillna(rate)
    return made


def regime(frame: pd.DataFrame) -> Columns:
    """Volume of the whole company, and of the customer's country and plan: 4 weeks against 13, as a log ratio."""
    made: Columns = {}
    for name in WEATHER:
        late, usual = f"{name}_28d", f"{name}_90d"
        if late in frame and usual in frame:
            for group in ("", "country", "subscription_plan"):
                if not group or group in frame:
                    keys = ["as_of_us", *([frame[group].fillna(-1.0)] if group else [])]
                    sums = frame[[late, usual]].fillna(0.0).groupby([frame["as_of_us"], *keys[1:]]).transform("sum")
                    ratio = (sums[late] * 90 / 28 + 1) / (sums[usual] + 1)
                    made[f"regime_{name}{'_' if group else ''}{group}"] = np.log(ratio.clip(lower=1e-6)).to_numpy()
    return made


def graph(frame: pd.DataFrame, customers: pd.DataFrame) -> Columns:
    """The account's other customers, the referrer and the referred: who is there, how silent, and what they did."""
    known = customers.drop_duplicates("customer_id").set_index("customer_id")
    at = frame[["as_of_us", "customer_id"]].assign(
        silence=frame["days_since_usage"],
        use=frame["usage_events_28d"],
        acts=frame.get("organic_acts_lifetime", np.nan),
        account=frame["customer_id"].map(known["account_id"]),
        referrer=frame["customer_id"].map(known["referred_by"]),
    )
    account = at.groupby(["as_of_us", "account"])
    others = account["silence"].transform("count") - 1
    by_others = (account["silence"].transform("sum") - at["silence"]) / others.where(others > 0)
    of = at.set_index(["as_of_us", "customer_id"])[["silence", "acts"]]
    referrer = of.reindex(pd.MultiIndex.from_arrays([at["as_of_us"], at["referrer"]]))
    referred = at.groupby(["as_of_us", "referrer"])["silence"].agg(["size", "mean"])
    referred = referred.reindex(pd.MultiIndex.from_arrays([at["as_of_us"], at["customer_id"]]))
    return {
        "graph_others": others.to_numpy(np.float64),
        "graph_others_silence": by_others.to_numpy(np.float64),
        "graph_share_of_use": (at["use"] / account["use"].transform("sum")).to_numpy(np.float64),
        "graph_referrer_silence": referrer["silence"].to_numpy(np.float64),
        "graph_referrer_acts": referrer["acts"].to_numpy(np.float64),
        "graph_referred": referred["size"].to_numpy(np.float64),
        "graph_referred_silence": referred["mean"].to_numpy(np.float64),
    }


def out_of_fold_rates(
    groups: np.ndarray[Any, Any], label: np.ndarray[Any, Any], fold: np.ndarray[Any, Any], prior: float = 10.0
) -> np.ndarray[Any, Any]:
    """The rate of each row's group among the rows of other folds, drawn to that of all."""
    keys, outcome, made = pd.Series(groups), pd.Series(label), np.empty(len(label))
    for number in np.unique(fold):
        inside = fold != number
        rates, rate = shrunk_rates(keys[inside], outcome[inside], prior)
        made[~inside] = keys[~inside].map(rates).fillna(rate)
    return made


def all_kinds(data: Dataset, customers: pd.DataFrame | None) -> Mapping[str, Columns]:
    """What each kind adds, by its name."""
    frame = values(data)
    made = {"peers": peers(frame, data.target.matured_days), "regime": regime(frame)}
    has_ties = customers is not None and {"account_id", "referred_by"} <= set(customers)
    return {**made, **({"graph": graph(frame, customers)} if has_ties else {})}

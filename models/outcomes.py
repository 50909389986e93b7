"""Outcomes after an instant: labels for training, and what came true for monitoring.

It is the one reader of rows after T. Everything is read as it is known at one moment (`known_us`), corrections and
withdrawals included. An instant whose outcome is not final at that moment is censored (null), never zero.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch.features.contract.tables import ACT_KINDS, ACTIVITY_TABLES, DAY_US
from vouch.features.facts.acts import ORGANIC, acts, listed_acts
from vouch.features.facts.customers import external_customers
from vouch.features.facts.referrals import invitations, referrals
from vouch.features.facts.rows import counted
from vouch.features.facts.stays import ended, stays
from vouch.models.targets import Trials

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from vouch.features.asof import Frame, Tables
    from vouch.models.targets import Target


REST_DAYS = 90
"""Who was asked within so many days is not among those who might be asked."""
SPEAKS_UP_DAYS = 90
"""Window in which it is looked for who speaks up unasked, beside the trials of asks."""


def standing(tables: Tables, name: str, known_us: int) -> Frame:
    """Return the rows of one table that count at `known_us`: the same as for vectors and metrics, taken later."""
    return counted(tables, name, known_us)


def _collect(frame: Frame, *order: str) -> pd.DataFrame:
    table: pa.Table = frame.collect("pyarrow").to_native()
    rows: pd.DataFrame = table.sort_by([(column, "ascending") for column in order]).to_pandas()
    return rows


def churn_events(tables: Tables, known_us: int, gap_days: int) -> pd.DataFrame:
    """Return the ends that count as churn: one row per customer and end, ordered by both.

    Those of stays, as `vouch.features.facts.stays` has them. Columns `customer_id`, `started_us`, `churned_us`,
    `is_involuntary` (whether the last subscription of the stay was ended by the company's side; false where nobody
    said).
    """
    events = ended(stays(standing(tables, "subscriptions", known_us), gap_days))
    chosen = events.select(
        "customer_id", "started_us", churned_us=nw.col("end_us"), is_involuntary=nw.col("is_involuntary") == 1
    )
    return _collect(chosen, "customer_id", "churned_us")


def churn_moments(tables: Tables, known_us: int, target: Target) -> pd.DataFrame:
    """Return every moment of churn as `label_churn` takes it: `customer_id`, `moment_us`."""
    events = churn_events(tables, known_us, target.gap_days)
    return events[["customer_id", "churned_us"]].rename(columns={"churned_us": "moment_us"})


def organic_acts(tables: Tables, known_us: int) -> pd.DataFrame:
    """Return every moment at which a customer spoke up unasked and unrewarded: `customer_id`, `occurred_us`.

    Acts as `facts.acts` has them: a referral that is listed among the acts, with its ask or its reward, is no second
    one.
    """
    moments = _organic(tables, known_us).select("customer_id", occurred_us=nw.col("own_us")).unique()
    return _collect(moments, "customer_id", "occurred_us")


def _organic(tables: Tables, known_us: int) -> Frame:
    listed = listed_acts(standing(tables, "advocacy_acts", known_us)) if "advocacy_acts" in tables else None
    pairs = valid_referrals(tables, known_us) if "referrals" in tables else None
    return acts(listed, pairs).filter(nw.col("sort") == ORGANIC)


def valid_referrals(tables: Tables, known_us: int) -> Frame:
    """Return the referrals that count, as `vouch.features.facts.referrals` has them."""
    return referrals(invitations(standing(tables, "referrals", known_us)))


def label_churn(tables: Tables, instants: Sequence[int], known_us: int, target: Target) -> pd.DataFrame:
    """Contractual churn: the last running subscription ends in the window, and none starts within the gap.

    One row per external customer known at each instant: `customer_id`, `as_of_us`, `label` (1.0, 0.0, or NaN where
    the window and the gap after it are not over at `known_us`).
    """
    events = churn_events(tables, known_us, target.gap_days)
    return labelled(tables, instants, known_us, target, events["customer_id"], events["churned_us"].to_numpy())


def label_advocacy(tables: Tables, instants: Sequence[int], known_us: int, target: Target) -> pd.DataFrame:
    """At least one organic act in the window; rows as for `label_churn`."""
    acts = organic_acts(tables, known_us)
    return labelled(tables, instants, known_us, target, acts["customer_id"], acts["occurred_us"].to_numpy())


def label_inactivity(tables: Tables, instants: Sequence[int], known_us: int, target: Target) -> pd.DataFrame:
    """No usage and no transaction in the window; rows as for `label_churn`."""
    import pandas as pd

    frames = []
    for as_of_us in instants:
        low, high = _window(as_of_us, target)
        seen = [
            standing(tables, name, known_us)
            .filter(nw.col("own_us") >= low, nw.col("own_us") < high)
            .select("customer_id")
            .unique()
            for name in ACTIVITY_TABLES
            if name in tables
        ]
        active = set(_collect(nw.concat(seen).unique(), "customer_id")["customer_id"])
        rows = _customers(tables, as_of_us)
        rows["label"] = (~rows["customer_id"].isin(active)).astype("float64")
        frames.append(_censored(rows, as_of_us, known_us, target))
    return pd.concat(frames, ignore_index=True)


def labelled(
    tables: Tables,
    instants: Sequence[int],
    known_us: int,
    target: Target,
    customers: pd.Series[str],
    moments_us: np.ndarray[Any, Any],
) -> pd.DataFrame:
    """Label 1 where one of a customer's moments (`customers`, `moments_us`, row by row) lies in an instant's window.

    What a new outcome needs: find the moments at which it came true, and give them here. Rows as for `label_churn`.
    """
    import pandas as pd

    frames = []
    for as_of_us in instants:
        low, high = _window(as_of_us, target)
        hit = set(customers[(moments_us >= low) & (moments_us < high)])
        rows = _customers(tables, as_of_us)
        rows["label"] = rows["customer_id"].isin(hit).astype("float64")
        frames.append(_censored(rows, as_of_us, known_us, target))
    return pd.concat(frames, ignore_index=True)


def _window(as_of_us: int, target: Target) -> tuple[int, int]:
    low = as_of_us + target.lead_days * DAY_US
    return low, low + target.horizon_days * DAY_US


def _customers(tables: Tables, as_of_us: int) -> pd.DataFrame:
    return _collect(external_customers(tables, as_of_us).select("customer_id", "as_of_us"), "customer_id")


def _censored(rows: pd.DataFrame, as_of_us: int, known_us: int, target: Target) -> pd.DataFrame:
    if as_of_us + target.matured_days * DAY_US > known_us:
        rows["label"] = float("nan")
    return rows


def label_response(tables: Tables, instants: Sequence[int], known_us: int, target: Target) -> pd.DataFrame:
    """Whether a customer who was asked in the window accepted within the gap; NaN for who was not asked.

    Rows as for `label_churn`.
    """
    import pandas as pd

    made, frames = _asks_made(tables, known_us, target), []
    for as_of_us in instants:
        answered = _inside(made, as_of_us, target).groupby("customer_id")["outcome"].max()
        rows = _customers(tables, as_of_us)
        rows["label"] = rows["customer_id"].map(answered).astype("float64")
        frames.append(_censored(rows, as_of_us, known_us, target))
    return pd.concat(frames, ignore_index=True)


def ask_trials(tables: Tables, instants: Sequence[int], known_us: int, target: Target) -> Trials:
    """Asks by instant, beside those who might have been asked (consent, no ask of late) and what they did unasked."""
    import pandas as pd

    made, treated, untreated = _asks_made(tables, known_us, target), [], []
    has_acts = "advocacy_acts" in tables or "referrals" in tables
    unasked = pd.DataFrame(columns=["customer_id", "kind", "own_us"])
    if has_acts:
        unasked = _collect(_organic(tables, known_us).select(*unasked.columns), "customer_id", "own_us")
    for as_of_us in instants:
        if as_of_us + target.matured_days * DAY_US > known_us:
            continue
        low, high = _window(as_of_us, target)
        treated.append(_inside(made, as_of_us, target).assign(as_of_us=as_of_us))
        lately = made.loc[(made["own_us"] >= low - REST_DAYS * DAY_US) & (made["own_us"] < high), "customer_id"]
        rows = _collect(_consenting(tables, as_of_us).select("customer_id", "as_of_us"), "customer_id")
        rows = rows.loc[~rows["customer_id"].isin(set(lately))].reset_index(drop=True)
        inside = _inside(unasked, as_of_us, target)
        done = {kind: set(of) for kind, of in inside.groupby("kind")["customer_id"]}
        kinds = {kind: rows["customer_id"].isin(done.get(kind, set())).astype("float64") for kind in ACT_KINDS}
        untreated.append(rows.assign(**kinds))
    nothing = pd.DataFrame(columns=["customer_id", "as_of_us", *ACT_KINDS])
    return Trials(
        pd.concat([made.head(0).assign(as_of_us=0), *treated], ignore_index=True),
        pd.concat(untreated or [nothing], ignore_index=True),
        _who_speaks_up(tables, instants, known_us, target) if has_acts else None,
        SPEAKS_UP_DAYS,
    )


def _who_speaks_up(tables: Tables, instants: Sequence[int], known_us: int, target: Target) -> pd.DataFrame:
    """Who does any act unasked in a longer window than that of an ask: more is known of it."""
    longer = replace(target, horizon_days=SPEAKS_UP_DAYS, gap_days=0)
    return label_advocacy(tables, instants, known_us, longer).dropna(subset=["label"])


def _asks_made(tables: Tables, known_us: int, target: Target) -> pd.DataFrame:
    """Every ask: `customer_id`, `own_us`, `kind`, `outcome` (accepted in time), `is_random`, `propensity`."""
    columns = ("customer_id", "own_us", "kind", "outcome", "outcome_us", "is_randomised", "propensity")
    rows = _collect(standing(tables, "asks", known_us).select(*columns), "customer_id", "own_us", "kind")
    answered_us = rows["outcome_us"].fillna(rows["own_us"])
    in_time = answered_us < rows["own_us"] + target.gap_days * DAY_US
    propensity = rows["propensity"].astype("float64")
    is_chance = (propensity > 0) & (propensity < 1)
    randomised = rows["is_randomised"].astype("boolean")
    return rows.assign(
        outcome=((rows["outcome"] == "accepted") & in_time).astype("float64"),
        is_random=randomised.fillna(is_chance).astype(bool),
        propensity=propensity.where(is_chance),
    )[["customer_id", "own_us", "kind", "outcome", "is_random", "propensity"]]


def _inside(made: pd.DataFrame, as_of_us: int, target: Target) -> pd.DataFrame:
    low, high = _window(as_of_us, target)
    return made.loc[(made["own_us"] >= low) & (made["own_us"] < high)].reset_index(drop=True)


def _consenting(tables: Tables, as_of_us: int) -> Frame:
    """External customers known at an instant who have given every consent that the company asks for."""
    rows = external_customers(tables, as_of_us)
    for consent in ("advocacy_consent", "contact_consent"):
        if tables.has("customers", consent):
            rows = rows.filter(nw.col(consent).fill_null(False))
    return rows


OFFER = "offer"
"""The one kind of a retention offer: campaigns are tried together."""


def offer_trials(tables: Tables, instants: Sequence[int], known_us: int, target: Target) -> Trials:
    """Retention offers by instant: who was treated, who was held out, and who of them left within the horizon after.

    A campaign is a trial where it has both arms. Where nobody noted a propensity, it is the campaign's treated share.
    """
    import pandas as pd

    made = _offers_made(tables, known_us, target) if "treatments" in tables else None
    columns = ["customer_id", "as_of_us", "own_us", "kind", "outcome", "is_random", "propensity", "cost", "arm"]
    parts = [pd.DataFrame(columns=columns)]
    if made is not None and len(made):
        parts = [_inside(made, as_of_us, target).assign(as_of_us=as_of_us) for as_of_us in instants]
    rows = pd.concat(parts, ignore_index=True) if parts else parts[0]
    is_treated = rows["arm"] == "treated"
    held_out = rows.loc[~is_treated & rows["is_random"].astype(bool)]
    return Trials(
        rows.loc[is_treated].reset_index(drop=True),
        held_out.assign(**{OFFER: held_out["outcome"]}).reset_index(drop=True),
        is_of_all=True,
        is_unwanted=True,
    )


def _offers_made(tables: Tables, known_us: int, target: Target) -> pd.DataFrame:
    """Every assignment whose outcome is final, with it and with the chance to be treated."""
    columns = ("customer_id", "own_us", "campaign", "arm", "cost", "propensity")
    rows = _collect(standing(tables, "treatments", known_us).select(*columns), "customer_id", "own_us", "campaign")
    rows = rows.loc[rows["own_us"] + target.matured_days * DAY_US <= known_us].reset_index(drop=True)
    share = (rows["arm"] == "treated").astype("float64").groupby(rows["campaign"]).transform("mean")
    propensity = rows["propensity"].astype("float64")
    ends = churn_events(tables, known_us, target.gap_days)
    pairs = rows.reset_index(names="row").merge(ends[["customer_id", "churned_us"]], on="customer_id")
    until_us = pairs["own_us"] + target.horizon_days * DAY_US
    left = set(pairs.loc[(pairs["churned_us"] >= pairs["own_us"]) & (pairs["churned_us"] < until_us), "row"])
    return rows.assign(
        kind=OFFER,
        outcome=rows.index.isin(left).astype("float64"),
        is_random=(share > 0) & (share < 1),
        propensity=propensity.where((propensity > 0) & (propensity < 1), share),
    )

"""Public churn tables as plain frames: what may be known before the outcome, and the outcome.

Columns that give the outcome away are left out, as the catalogue beside the data says.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd

from vouch.features.errors import UsageError
from vouch.models.scoring.feature_matrix import Column

GIVEN_AWAY = ("Satisfaction Score", "Customer Status", "Churn Label", "Churn Value", "Churn Score", "CLTV",
              "Churn Category", "Churn Reason")  # fmt: skip
MOST_CATEGORIES = 64


def folder() -> Path:
    """Where the public data sets are: the environment's VOUCH_DATASETS."""
    if not os.environ.get("VOUCH_DATASETS"):
        raise UsageError("Name the folder of the public data sets in VOUCH_DATASETS")
    return Path(os.environ["VOUCH_DATASETS"])


def telco_ibm() -> tuple[pd.DataFrame, np.ndarray]:
    """IBM Telco: 7,043 customers."""
    frame = pd.read_csv(folder() / "telco_ibm" / "Telco-Customer-Churn.csv")
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
    return frame.drop(columns=["customerID", "Churn"]), (frame["Churn"] == "Yes").to_numpy(float)


def telco_ibm_v11() -> tuple[pd.DataFrame, np.ndarray]:
    """The same customers with referrals, places and services, in five tables."""
    parts = {
        name: pd.read_csv(folder() / "telco_ibm_v11" / f"Telco_customer_churn_{name}.csv")
        for name in ("demographics", "location", "services", "status")
    }
    status = parts.pop("status")
    frame = status[["Customer ID", "Churn Value"]]
    for part in parts.values():
        frame = frame.merge(part.drop(columns=["Count", "Quarter"], errors="ignore"), on="Customer ID")
    label = frame["Churn Value"].to_numpy(float)
    gone = ["Customer ID", "Churn Value", "Country", "State", "Lat Long", "Zip Code", *GIVEN_AWAY]
    return frame.drop(columns=gone, errors="ignore"), label


def cell2cell() -> tuple[pd.DataFrame, np.ndarray]:
    """Cell2Cell: 51,047 subscribers of a carrier."""
    frame = pd.read_csv(folder() / "cell2cell" / "cell2celltrain.csv.gz")
    return frame.drop(columns=["CustomerID", "Churn"]), (frame["Churn"] == "Yes").to_numpy(float)


def iranian_churn() -> tuple[pd.DataFrame, np.ndarray]:
    """3,150 customers of an Iranian carrier."""
    frame = pd.read_csv(folder() / "iranian_churn" / "Customer_Churn.csv")
    return frame.drop(columns="Churn"), frame["Churn"].to_numpy(float)


def telecom_churn_5000() -> tuple[pd.DataFrame, np.ndarray]:
    """5,000 customers of the MLC++ churn table."""
    frame = pd.read_csv(folder() / "telecom_churn_5000" / "mlc_churn.csv")
    return frame.drop(columns="churn"), (frame["churn"] == "yes").to_numpy(float)


def ravenstack() -> tuple[pd.DataFrame, np.ndarray]:
    """500 accounts whose churn is random: what finds something here has a leak."""
    read = {
        name: pd.read_csv(folder() / "ravenstack" / f"ravenstack_{name}.csv")
        for name in ("accounts", "subscriptions", "feature_usage", "support_tickets")
    }
    accounts, subscriptions = read["accounts"].set_index("account_id"), read["subscriptions"]
    usage = read["feature_usage"].merge(subscriptions[["subscription_id", "account_id"]], on="subscription_id")
    tickets = read["support_tickets"]
    frame = accounts[["industry", "country", "referral_source", "plan_tier", "seats", "is_trial"]].assign(
        subscriptions=subscriptions.groupby("account_id").size(),
        mrr=subscriptions.groupby("account_id")["mrr_amount"].sum(),
        usage=usage.groupby("account_id")["usage_count"].sum(),
        errors=usage.groupby("account_id")["error_count"].sum(),
        features=usage.groupby("account_id")["feature_name"].nunique(),
        tickets=tickets.groupby("account_id").size(),
        wait=tickets.groupby("account_id")["first_response_time_minutes"].mean(),
        satisfaction=tickets.groupby("account_id")["satisfaction_score"].mean(),
    )
    return frame.reset_index(drop=True), accounts["churn_flag"].astype(str).str.upper().eq("TRUE").to_numpy(float)


TABLES = {
    made.__name__: made for made in (telco_ibm, cell2cell, iranian_churn, telecom_churn_5000, telco_ibm_v11)
}  # fmt: skip


def encoded(frame: pd.DataFrame) -> tuple[tuple[Column, ...], np.ndarray]:
    """The columns as models read them, each a family of its own, and their matrix."""
    columns, values = [], []
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "ifb":
            columns.append(Column(name, name))
            values.append(column.to_numpy(np.float64))
            continue
        common = tuple(sorted(map(str, column.value_counts().index[:MOST_CATEGORIES])))
        codes = pd.Index(common).get_indexer(column.astype("object").where(column.notna(), None).map(str))
        columns.append(Column(name, name, common))
        values.append(np.where((codes < 0) | column.isna(), np.nan, codes))
    return tuple(columns), np.column_stack(values).astype(np.float32)

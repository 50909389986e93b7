"""Peers on one table, run by an interpreter of their own (they are no dependencies): probabilities out of fold.

    .bench/peers/bin/python tests/benchmarks/peers/on_a_table.py TABLE.parquet OUT.parquet SECONDS

TABLE holds the features, `label` and `fold`. OUT holds one column of probabilities per peer. SECONDS is what FLAML gets
for each fold. OUT is written after each fold, and what stands in it is not done again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd


def catboost(train, label, test, seconds):
    """CatBoost as it comes, categories as they are."""
    from catboost import CatBoostClassifier

    texts = list(train.select_dtypes(exclude="number").columns)
    model = CatBoostClassifier(verbose=0, random_seed=0, cat_features=texts, allow_writing_files=False)
    return model.fit(train, label).predict_proba(test)[:, 1]


def xgboost(train, label, test, seconds):
    """XGBoost with small steps, the number of rounds found on a fifth of the rows, then fitted on all."""
    from sklearn.model_selection import train_test_split
    from xgboost import XGBClassifier

    options = {"learning_rate": 0.05, "max_depth": 4, "subsample": 0.8, "colsample_bytree": 0.8, "random_state": 0}
    options |= {"enable_categorical": True, "tree_method": "hist", "eval_metric": "logloss"}
    kept, held, kept_label, held_label = train_test_split(train, label, test_size=0.2, random_state=0, stratify=label)
    early = XGBClassifier(n_estimators=2000, early_stopping_rounds=50, **options)
    early.fit(kept, kept_label, eval_set=[(held, held_label)], verbose=False)
    model = XGBClassifier(n_estimators=early.best_iteration + 1, **options).fit(train, label)
    return model.predict_proba(test)[:, 1]


def flaml(train, label, test, seconds):
    """FLAML's search over learners, by log loss, within its time."""
    from flaml import AutoML

    search = AutoML()
    search.fit(
        train, label, task="classification", metric="log_loss", time_budget=seconds, seed=0, verbose=0, n_jobs=2,
        estimator_list=["lgbm", "xgboost", "catboost", "rf", "extra_tree", "lrl1"],
    )  # fmt: skip
    return search.predict_proba(test)[:, 1]


def logistic(train, label, test, seconds):
    """Logistic regression on standardised numbers and one-hot categories."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    columns = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=20), make_column_selector(dtype_exclude="number")),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=2000))
    return model.fit(train, label).predict_proba(test)[:, 1]


PEERS = {"logistic": logistic, "xgboost": xgboost, "catboost": catboost, "flaml": flaml}


def prepared(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Categories as each peer takes them."""
    texts = frame.select_dtypes(exclude="number").columns
    kind = "category" if name in {"xgboost", "flaml"} else "object"
    filled = frame.assign(
        **{text: frame[text].astype("object").where(frame[text].notna(), "missing") for text in texts}
    )
    return filled.astype(dict.fromkeys(texts, kind))


def main() -> None:
    """Command line."""
    table, out, seconds = pd.read_parquet(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
    label, fold = table["label"].to_numpy(int), table["fold"].to_numpy(int)
    found = pd.read_parquet(out) if out.exists() else pd.DataFrame(np.nan, index=table.index, columns=list(PEERS))
    for name, peer in PEERS.items():
        features = prepared(table.drop(columns=["label", "fold"]), name)
        for number in np.unique(fold):
            inside = fold != number
            if found.loc[~inside, name].isna().any():
                found.loc[~inside, name] = peer(features[inside], label[inside], features[~inside], seconds)
                found.to_parquet(out.with_suffix(".draft"))
                out.with_suffix(".draft").replace(out)
                print(f"{name}: fold {number} is done", flush=True)


if __name__ == "__main__":
    main()

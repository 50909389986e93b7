"""What a model keeps for good names nobody: categories count in customers, rare ones are pooled, cards are plain."""

from __future__ import annotations

from dataclasses import replace

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from vouch.features.statistics.few import FEWEST, OTHER, pooled
from vouch.models.predictor import encode
from vouch.models.quality.drift import counted, reference
from vouch.models.scoring.feature_matrix import Column
from vouch.training.dataset import _categories
from vouch.training.gate import GateRule, Verdict
from vouch.training.report import TrainingReport, card
from vouch.training.slices import slice_rows

HOSTILE = "smb | 1 |\n\n# Passed\n<img src=x> [free](http://evil.example) `x` **b**"


def panel(customers: dict[str, int], cutoffs: int) -> tuple[pd.Series, pd.Series]:
    """A category of each customer at each cutoff, and whose row each is."""
    rows = [(name, f"{name}{who}") for name, of in customers.items() for who in range(of)] * cutoffs
    return pd.Series([name for name, _ in rows], dtype="str"), pd.Series([who for _, who in rows])


@pytest.mark.parametrize("few", range(1, FEWEST))
def test_a_category_of_a_few_customers_is_named_nowhere_however_many_rows_they_have(few):
    assert _categories(*panel({"a": 30, "b": 20, "rare": few}, 12)) == ("a", "b")
    assert _categories(*panel({"a": 30, "rare": few, "rarer": FEWEST - few}, 12)) == ("a", OTHER)
    assert _categories(*panel({"a": 30, "b": FEWEST, "rare": few}, 12)) == ("a", "b")


def test_a_category_of_few_rows_teaches_nothing():
    assert _categories(*panel({"a": 30, "b": 20, "c": FEWEST}, 1)) == ("a", "b")


def test_a_category_that_was_not_named_is_the_pooled_one_where_there_is_one_and_else_missing():
    frame = pd.DataFrame({"plan": pd.Series(["a", "b", "z", None], dtype="str")})
    with_other = encode(frame, [Column("plan", "profile", ("a", OTHER))])
    np.testing.assert_array_equal(with_other[:, 0], [0, 1, 1, np.nan])
    without = encode(frame, [Column("plan", "profile", ("a", "b"))])
    np.testing.assert_array_equal(without[:, 0], [0, 1, np.nan, np.nan])


@given(st.lists(st.sampled_from(["a", "b", OTHER, "z", "y", None]), min_size=1))
def test_a_week_is_counted_into_the_bins_that_training_had(values):
    columns = [Column("plan", "profile", ("a", OTHER))]
    frame = pd.DataFrame({"plan": pd.Series(values, dtype="str")})
    (of_training, *_) = reference(columns, encode(frame, columns), np.full(len(values), 0.5))
    lazy = nw.from_native(pl.DataFrame({"plan": values}, schema={"plan": pl.String}).lazy())
    assert counted(lazy, [of_training]) == {"plan": of_training.counts}


@given(st.lists(st.sampled_from("abcde")))
def test_no_label_that_is_left_is_had_by_a_few(labels):
    left = pooled(labels)
    assert all(left.count(label) >= FEWEST for label in set(left) - {OTHER})
    assert len(left) == len(labels)


def test_a_slice_of_a_few_customers_is_not_told():
    frame = pd.DataFrame({"segment": ["a"] * 60 + ["b"] * 60, "customer_id": [f"c{n}" for n in range(60)] + ["d"] * 60})
    told = slice_rows(frame, np.tile([0.0, 1.0], 60), np.full(120, 0.5), 50)
    assert [(row["by"], row["value"]) for row in told] == [("segment", "a")]


def test_nothing_that_a_company_wrote_makes_anything_of_a_card():
    figures = dict.fromkeys(("base_rate", "roc_auc", "pr_auc", "log_loss", "brier_skill", "calibration_error"), 0.1)
    figures |= dict.fromkeys(("calibration_slope", "lift_at_5", "lift_at_10"), 1.0)
    report = TrainingReport(
        model="churn",
        question="Who leaves?",
        as_of_us=0,
        chosen="logistic",
        calibration={"logistic": "none"},
        figures={"logistic": figures},
        slices=({"by": "segment", "value": HOSTILE, "n": 60},),
        notes=(HOSTILE,),
        facts={"data": HOSTILE},
        verdict=Verdict((GateRule("slices", False, HOSTILE, None, None),)),
    )
    render = MarkdownIt("commonmark", {"html": True}).enable("table").render
    shown = render(card(report))
    plain = replace(report, slices=({"by": "segment", "value": "a", "n": 60},), notes=("a",), facts={"data": "a"},
                    verdict=Verdict((GateRule("slices", False, "a", None, None),)))  # fmt: skip
    assert not [tag for tag in ("<img", "<a ", "<b>") if tag in shown]
    assert shown.count("<h1>") == 1
    assert shown.count("<strong>") == render(card(plain)).count("<strong>"), "those of the card itself"
    row = next(line for line in shown.splitlines() if "free" in line and "<td>" in line)
    assert "Passed" in row
    assert shown.count("free") == 4

"""Null for want of an input: each reason names the column that would feed the metric, and the contract has it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from support.whole_company import scores_of
from vouch.features import metrics
from vouch.features.contract.tables import TABLES
from vouch.features.ingest.stage import open_tables
from vouch.features.metrics.context import MetricContext
from vouch.features.metrics.evaluate import measure
from vouch.features.simulation.parameters import LAST_INSTANT_US

FOLDER = Path(metrics.__file__).parent
NO_COLUMN = ("the project file registers no [feedback] sources", "no earlier week is published in the home")
"""What is no column: a setting, and the past of the home."""
INVITED = "software_activation"
"""Invited accounts stand in no table of the contract."""
COLUMN = re.compile(r"([a-z_]+)\.([a-z_]+)")


def written_reasons():
    """Every reason of the code that says `no_input`, with `{}` for what is filled in."""
    for path in sorted(FOLDER.rglob("*.py")):
        code = path.read_text(encoding="utf-8")
        if "no_input: " not in code:
            continue
        tree = ast.parse(code)
        filled = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
        inner = {id(part) for node in filled for part in node.values}
        plain = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in inner]
        for node in (*filled, *plain):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in parts)
            if text.startswith("no_input: "):
                yield path.name, text.removeprefix("no_input: ")


def columns_of(reason):
    return [(table, column) for table, column in COLUMN.findall(reason) if table in TABLES]


REASONS = [(name, text) for name, text in written_reasons() if text not in NO_COLUMN]


def test_there_are_such_reasons():
    assert len(REASONS) > 6


@pytest.mark.parametrize(("name", "text"), REASONS)
def test_each_reason_names_a_column_of_the_contract_or_the_table_whose_amounts_are_missing(name, text):
    named = columns_of(text)
    assert named or "{}.amount" in text, f"{name}: {text}"
    for table, column in named:
        assert column in TABLES[table].columns, f"{name}: {text}"


def test_with_models_no_metric_of_the_simulated_company_says_that_there_is_none_and_each_names_its_column(staged):
    tables = open_tables(staged, "polars")
    at_us = staged.default_as_of_us(LAST_INSTANT_US)
    people = MetricContext(tables, at_us).people["customer_id"].to_pylist()
    nothing = {e.metric_id: e.reason or "" for e in measure(tables, at_us, scores=scores_of(people))
               if e.status == "not_applicable"}  # fmt: skip
    assert not [name for name, reason in nothing.items() if "no_model" in reason]
    without_column = [name for name, reason in nothing.items() if name != INVITED and "no_input" in reason
                      and reason.removeprefix("no_input: ") not in NO_COLUMN and not columns_of(reason)]  # fmt: skip
    assert not without_column

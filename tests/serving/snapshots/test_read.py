"""What is read of published weeks for figures: which there are, and what they named as reasons for leaving."""

from __future__ import annotations

import pytest

from support.handwritten_weeks import BEFORE, EARLIER, MONDAY, WEEK, publish
from vouch.features.contract.tables import DAY_US
from vouch.serving.snapshots.files import current_folder
from vouch.serving.snapshots.read import record_of


def reason(family, contribution):
    return {"family": family, "feature": f"{family}_28d", "value": "1", "contribution": contribution}


@pytest.fixture
def home(tmp_path):
    named = [reason("usage", 0.2), reason("support", 0.7), reason("billing", -0.9)]
    held = [reason("billing", -0.9)]
    first, second, *others = EARLIER
    publish(tmp_path, BEFORE, [{**first, "churn_reasons": named}, {**second, "churn_reasons": held}, *others])
    publish(tmp_path, MONDAY, WEEK)
    return tmp_path


def test_the_strongest_reason_for_leaving_is_named_and_none_that_speaks_for_staying(home):
    record = record_of(home, MONDAY)
    assert record.published_us == {BEFORE}
    first, second = (row["customer_id"] for row in EARLIER[:2])
    assert record.named(BEFORE, {first, second, "nobody"}) == {first: "support"}
    assert record.named(BEFORE, {"nobody"}) == {}


def test_a_damaged_week_names_nothing_and_stops_nobody(home):
    (current_folder(home, BEFORE) / "scores.parquet").write_bytes(b"broken")
    first = EARLIER[0]["customer_id"]
    assert record_of(home, MONDAY + DAY_US).named(BEFORE, {first}) == {}

"""The watch in a home: weeks are bet on as they become final, an alarm sets an offset, and that is watched too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from support.champions import write_champion
from support.rows.contract_rows import make_tables
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import BundleError
from vouch.features.instants import WEEK_US, instant_text
from vouch.models.predictor import champion_folder
from vouch.models.registry.offsets import OFFSETS, Offset, in_force, offsets, set_offset
from vouch.models.scoring.calibration import log_odds, sigmoid
from vouch.serving.monitoring.outcome_watch import answer_alarms, watch_of_week, watch_warnings
from vouch.serving.scoring.score import champion
from vouch.serving.snapshots import schema as columns
from vouch.serving.snapshots.files import drafting

FIRST = 2_600 * WEEK_US + 4 * DAY_US
WEEKS, CUSTOMERS, CHANGED, MOVED = 24, 480, 4, 0.9
INSTANTS = [FIRST + week * WEEK_US for week in range(WEEKS)]


def company(seed: int = 0):
    """Customers of each week, who leave in the four weeks after it as was said, and `MOVED` more from `CHANGED` on."""
    rng = np.random.default_rng(seed)
    people, said = [], {}
    for week, instant in enumerate(INSTANTS):
        said[instant] = rng.beta(1.2, 4.8, CUSTOMERS)
        leaves = rng.random(CUSTOMERS) < sigmoid(log_odds(said[instant]) + (MOVED if week >= CHANGED else 0.0))
        people += [(f"w{week:02}-{number:04}", instant // DAY_US, left) for number, left in enumerate(leaves)]
    tables = make_tables(
        "polars",
        customers=[{"customer_id": name, "created_at": 1} for name, _, _ in people],
        subscriptions=[
            {"subscription_id": name, "customer_id": name, "started_at": 2, "ended_at": at + 10 if left else None,
             "mrr": 1}
            for name, at, left in people
        ],
    )  # fmt: skip
    return tables, said


def publish(home, instant, said, of, watched):
    """One week as the batch publishes it, as far as the watch reads it."""
    schema = columns.scores_schema(instant)
    shown = pa.array(sigmoid(log_odds(said) + of.offset))
    names = pa.array([f"w{INSTANTS.index(instant):02}-{number:04}" for number in range(len(said))])
    made = {"customer_id": names, "churn_probability": shown}
    facts = {"content_hash": of.content_hash, "target": "contract", "as_of": None, "offset": of.offset}
    with drafting(home, instant) as draft:
        with draft.table("scores", schema) as writer:
            writer.write_table(pa.table({f.name: made.get(f.name, pa.nulls(len(said), f.type)) for f in schema}))
        draft.publish({"now": instant_text(instant), "models": {"churn": facts}, "watch": watched, "warnings": []})


@pytest.fixture(scope="module")
def years(tmp_path_factory):
    """The watch of each week, while the champion stays."""
    home = tmp_path_factory.mktemp("home")
    write_champion(home, "churn")
    tables, said = company()
    watched = []
    for instant in INSTANTS:
        of = champion(home, "churn").at(instant)
        watched.append(watch_of_week(home, tables, {"churn": of}, instant))
        publish(home, instant, said[instant], of, watched[-1])
        answer_alarms(home, watched[-1])
    return home, tables, [of["churn"] for of in watched]


def test_a_week_is_bet_on_once_its_outcomes_are_final_and_only_once(years):
    _, _, watched = years
    matured = 6  # four weeks and the gap of two
    for week, record in enumerate(watched[: CHANGED + matured]):
        assert [of["as_of_us"] for of in record["batches"]] == INSTANTS[: max(week - matured + 1, 0)]
        assert (record["alarm_us"], record["answer"]) == (None, None)
        assert record["wealth"] < record["limit"]


def test_a_shift_is_an_alarm_with_its_week_of_change_and_an_offset_that_holds_from_then_on(years):
    home, _, watched = years
    at = next(week for week, record in enumerate(watched) if record["alarm_us"] is not None)
    assert at - 6 - CHANGED < 8
    record = watched[at]
    assert abs(record["answer"]["changed_us"] - INSTANTS[CHANGED]) <= 2 * WEEK_US
    assert record["wealth"] >= record["limit"]
    (warning,) = watch_warnings({"churn": record})
    assert f"do not hold since the week of {record['changed']}" in warning
    assert "until it is trained again" in warning
    listed, content_hash = offsets(home, "churn"), champion(home, "churn").content_hash
    assert listed[0].as_of_us == INSTANTS[at]
    assert in_force(listed, content_hash, INSTANTS[at]) is None, "a week that is scored again is scored as it was"
    assert in_force(listed, content_hash, INSTANTS[at] + 1) == listed[0]
    assert listed[-1].offset == pytest.approx(MOVED, abs=0.12)


def test_what_a_week_says_of_the_offset_is_what_holds_in_the_next(years):
    home, _, watched = years
    listed, content_hash = offsets(home, "churn"), champion(home, "churn").content_hash
    answered = [(week, record) for week, record in enumerate(watched) if record["answer"]]
    assert len(answered) > 2
    for week, record in answered:
        said = record["answer"]["offset"]
        assert in_force(listed, content_hash, INSTANTS[week] + WEEK_US).offset == said
        assert f"shifted by {said:+.3f}" in next(iter(watch_warnings({"churn": record})))


def test_the_watch_begins_again_with_the_first_week_that_was_scored_with_the_offset(years):
    _, _, watched = years
    at = next(week for week, record in enumerate(watched) if record["alarm_us"] is not None)
    last = watched[-1]
    assert last["starts_us"] == INSTANTS[at]
    assert last["batches"][0]["as_of_us"] == INSTANTS[at + 1]
    assert last["alarm_us"] is None
    assert abs(last["came_true"] / last["expected"] - 1) < 0.1, "the offset gave back what was lost"


def test_a_model_that_is_trained_again_has_no_offset_and_an_alarm_on_others_sets_none(years, tmp_path):
    home, tables, watched = years
    write_champion(tmp_path, "churn", base=-2.0)
    other = champion(tmp_path, "churn")
    at = next(week for week, record in enumerate(watched) if record["alarm_us"] is not None)
    assert in_force(offsets(home, "churn"), other.content_hash) is None
    record = watch_of_week(home, tables, {"churn": other}, INSTANTS[at] + 1)["churn"]
    assert (record["alarm_us"], record["answer"]) == (INSTANTS[at], None)
    assert "trained anew" in next(iter(watch_warnings({"churn": record})))


def test_probabilities_are_served_with_the_offset_and_keep_their_order(tmp_path):
    predictor = write_champion(tmp_path, "churn")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.exponential(20, 50) for name in predictor.names})
    plain = champion(tmp_path, "churn").predictor.score(frame)
    made = Offset(
        content_hash=predictor.content_hash, as_of_us=5, offset=0.4, changed_us=1, n=10, came_true=5, expected=3.0
    )
    set_offset(tmp_path, "churn", made)
    set_offset(tmp_path, "churn", made.model_copy(update={"offset": 0.5}))
    assert [of.offset for of in offsets(tmp_path, "churn")] == [0.5], "the same week says it once"
    served = champion(tmp_path, "churn")
    shifted = served.predictor.score(frame)
    np.testing.assert_array_equal(shifted.raw, plain.raw)
    np.testing.assert_allclose(log_odds(shifted.probability), log_odds(plain.probability) + 0.5, atol=1e-9)
    np.testing.assert_array_equal(served.at(5).predictor.score(frame).probability, plain.probability)
    assert (served.offset, served.at(5).offset) == (0.5, 0.0)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"null", b"[1]", b"\xff\xfe", b'[{"offset": 1e9}]', b'[{"offset": NaN}]', b"[" * 100_000, None],
)
def test_a_damaged_list_of_offsets_is_told_with_its_place_and_the_mend(tmp_path, content):
    write_champion(tmp_path, "churn")
    path = champion_folder(tmp_path, "churn") / OFFSETS
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(BundleError, match=r"champions/churn/offsets\.json cannot be read: .*take it away") as told:
        champion(tmp_path, "churn")
    assert "\n" not in str(told.value)

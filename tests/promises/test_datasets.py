"""Public data sets, each plugged in by its project file: checked, turned into vectors, measured, and trained on.

What is compared with comes from the data set's own publication or from a query by hand over its files. A model comes
of a data set, or a refusal that states its figures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl
import pytest

from vouch.features.contract.tables import DAY_US
from vouch.features.errors import NoOutcome, Refused
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.metrics.evaluate import measure
from vouch.features.metrics.feeds import contract_report
from vouch.features.project import load_project
from vouch.features.vectors.build import collect, vectors
from vouch.training.run import train

pytestmark = pytest.mark.datasets

MAPPINGS = Path(__file__).parents[2] / "notebooks" / "datasets"
NOW_US = 1_795_132_800_000_000  # 2026-11-20, after all of them


@dataclass
class Plugged:
    """One data set, staged once for all tests."""

    name: str
    project: object
    staged: object
    tables: object
    as_of_us: int
    kept: dict = field(default_factory=dict)

    def once(self, name, make):
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    @property
    def metrics(self):
        return self.once("metrics", lambda: {found.metric_id: found for found in measure(self.tables, self.as_of_us)})

    @property
    def vectors(self):
        return self.once("vectors", lambda: collect(vectors(self.tables, self.as_of_us)))

    @property
    def reports(self):
        return {name: table["rows"] for name, table in self.staged.counted["tables"].items()}


@pytest.fixture(scope="module")
def plug(datasets, tmp_path_factory):
    found = {}

    def plugged(name: str) -> Plugged:
        if name not in found:
            home = tmp_path_factory.mktemp(name)
            project = replace(load_project(str(MAPPINGS / name / "vouch.toml")), home=home)
            staged = stage(project, NOW_US)
            found[name] = Plugged(name, project, staged, open_tables(staged, "polars"), staged.default_as_of_us(NOW_US))
        return found[name]

    return plugged


NAMES = sorted(path.parent.name for path in MAPPINGS.glob("*/vouch.toml"))
ROWS = {
    "airline_loyalty": {"customers": 16_737, "subscriptions": 16_737, "loyalty_members": 16_737},
    "complete_journey": {"customers": 2_469, "transactions": 1_469_307, "touches": 6_589},
    "olist_sample": {"customers": 2_995, "surveys": 2_993, "feedback": 2_993},
    "online_retail_uci": {"customers": 4_372},
}


def test_every_mapped_data_set_is_tested():
    assert sorted(ROWS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_no_row_is_lost_or_broken_on_the_way_in(name, plug):
    report = contract_report(plug(name).staged)
    assert {table: report["tables"][table]["rows"] for table in ROWS[name]} == ROWS[name]
    assert {table: of["quarantined"] for table, of in report["tables"].items() if of["quarantined"]} == {}
    assert {table for table in report["tables"] if table in report["absent"]} == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_customer_known_has_one_vector(name, plug):
    found = plug(name)
    assert found.vectors["customer_id"].is_unique
    known = found.tables.frames["customers"].to_native().filter(pl.col("own_us") < found.as_of_us).collect()
    assert len(found.vectors) == known["customer_id"].n_unique()


@pytest.mark.parametrize("name", NAMES)
def test_every_metric_has_a_value_or_a_reason(name, plug):
    for envelope in plug(name).metrics.values():
        assert (envelope.value is None) == bool(envelope.status not in {"ok", "low_n"}), envelope
        assert envelope.value is not None or envelope.reason, envelope


TRAINED = {
    "airline_loyalty": "model",
    "complete_journey": "model",
    "olist_sample": r"too few outcomes to learn from. [\d,]+ training rows at \d+ cutoffs hold [\d,]+ positives",
    "online_retail_uci": r"calibration error 0\.\d+ over 20 bins \(limit 0\.\d+: 0\.030",
}
"""What comes of training for churn: a champion, or what the refusal says."""


LARGE = {"airline_loyalty", "complete_journey"}
"""What takes longer to learn from than the others together: trained on every night."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.nightly if name in LARGE else ()) for name in NAMES]
)
def test_training_ends_in_a_model_or_in_a_refusal_with_its_figures(name, plug):
    found, wanted = plug(name), TRAINED[name]
    if wanted.startswith("too few"):
        with pytest.raises(Refused, match=wanted):
            train(found.project, "churn", None, NOW_US)
        return
    (report,) = train(found.project, "churn", None, NOW_US)
    if wanted == "model":
        assert report.is_promoted, report.text()
        assert report.figures[report.chosen]["brier_skill"] > 0
    else:
        assert not report.is_promoted
        assert re.search(wanted, report.text()), report.text()


def test_advocacy_is_refused_where_nobody_is_known_to_have_spoken_up(plug):
    with pytest.raises(NoOutcome, match="advocacy_acts or referrals"):
        train(plug("olist_sample").project, "advocacy", None, NOW_US)


def test_online_retail_repeat_purchase_is_what_its_invoices_say(plug):
    found = plug("online_retail_uci")
    rows = (
        found.tables.frames["transactions"]
        .to_native()
        .filter(
            pl.col("kind") == "purchase",
            pl.col("amount").cast(pl.Float64) > 0,
            pl.col("own_us") < found.as_of_us,
            pl.col("own_us") >= found.as_of_us - 365 * DAY_US,
        )
    )
    orders = rows.group_by("customer_id").agg(pl.col("order_id").n_unique()).collect()["order_id"]
    envelope = found.metrics["repeat_purchase_rate"]
    assert envelope.value == pytest.approx(100 * (orders >= 2).sum() / len(orders))
    # 65.6 % of 4,338 customers over the whole file (its catalogue); the last four days are not in the window.
    assert envelope.value == pytest.approx(65.6, abs=1.5)


def test_olist_satisfaction_is_the_share_of_four_and_five_stars_in_the_window(plug, datasets):
    found = plug("olist_sample")
    envelope = found.metrics["csat"]
    reviews = pl.read_csv(datasets / "olist_sample" / "olist_order_reviews_dataset.csv", try_parse_dates=True)
    answered = reviews["review_answer_timestamp"].dt.epoch("us")
    inside = (answered < found.as_of_us) & (answered >= found.as_of_us - 30 * DAY_US)
    scores = reviews.filter(inside)["review_score"]
    assert envelope.n == len(scores)
    assert envelope.value == pytest.approx(100 * (scores >= 4).sum() / len(scores))


def test_airline_points_earned_and_redeemed_are_those_of_the_file(plug):
    found = plug("airline_loyalty")
    ledger = found.tables.frames["loyalty_ledger"].to_native()
    sums = ledger.group_by("kind").agg(pl.col("points").cast(pl.Float64).sum()).collect()
    points = dict(zip(sums["kind"], sums["points"], strict=True))
    assert points["earn"] == pytest.approx(50_172_736.25)  # both from the catalogue of the data set
    assert points["redeem"] == pytest.approx(12_451_388)


def test_airline_redemptions_name_no_lot_so_that_nothing_is_said_of_lots(plug):
    found = plug("airline_loyalty").metrics
    for name in ("redemption_rate", "breakage"):
        assert found[name].value is None
        assert found[name].reason == "no_input: no redemption names its lot (loyalty_ledger.lot_id)"
    assert found["redemption_rate_period"].value > 0


def test_airline_cancellations_are_ends_that_nobody_announced(plug):
    found = plug("airline_loyalty")
    ends = found.tables.frames["subscriptions"].to_native().filter(pl.col("ended_us").is_not_null()).collect()
    assert len(ends) == 2_067
    assert found.vectors["is_leaving"].sum() == 0


def test_complete_journey_households_that_redeem_are_those_of_the_file(plug):
    found = plug("complete_journey")
    ledger = found.tables.frames["loyalty_ledger"].to_native().filter(pl.col("kind") == "redeem").collect()
    assert len(ledger) == 2_102
    assert ledger["customer_id"].n_unique() == 410

"""The value model's bundle, and what must hold of values whoever the customers are."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from support.spoilt_documents import spoilt
from vouch.features.errors import BundleError
from vouch.models.predictor import Predictor
from vouch.models.registry.bundles import columns_made, load_bundle
from vouch.models.scoring.bundle import read_files, write_files
from vouch.models.value.contracts import Flow, LifeTable, flow
from vouch.models.value.predictor import ValuePredictor, _check_golden, histories_of, made_up, write_value_bundle
from vouch.models.value.repeat_purchases import RepeatPurchases
from vouch.models.value.spend import Spend
from vouch.models.value.valuation import ValueNumbers, valued

PURCHASES = RepeatPurchases(0.5, 40.0, 0.9, 1.6, is_modified=True)
SPEND = Spend(6.0, 4.0, 60.0)
TABLE = LifeTable((0.03, 0.02, 0.012, 0.012), (0.001, 0.001, 0.001, 0.006), 0.003, 400)
FLOWS = (Flow(0.76, 50.0, (0.6, 0.8, 1.0, 1.2, 1.4)), Flow(0.65, 40.0, (0.8, 1.0, 1.2)))
CONTRACTS = ValueNumbers(0.98, 0.6, FLOWS, FLOWS, TABLE, PURCHASES, SPEND)
SHOP = ValueNumbers(0.95, 0.4, purchases=PURCHASES, spend=SPEND)
KNOWN = replace(
    SHOP,
    purchases=replace(PURCHASES, covariance=tuple(map(tuple, (0.01 * np.eye(4) + 0.001).tolist()))),
    spend=replace(SPEND, covariance=tuple(map(tuple, (0.01 * np.eye(3) + 0.001).tolist()))),
)
"""Numbers with how far they are known."""
PEOPLE = histories_of(made_up())


@pytest.mark.parametrize(("numbers", "way"), [(CONTRACTS, "contract"), (SHOP, "purchases"), (KNOWN, "purchases")])
def test_a_bundle_is_read_as_it_was_written_and_says_how_customers_are_valued(tmp_path, numbers, way):
    made = write_value_bundle(tmp_path / "bundle", numbers, None, None, {"as_of": "2026-11-16"})
    found = load_bundle(tmp_path / "bundle")
    assert isinstance(found, ValuePredictor)
    assert (found.target, found.content_hash, found.numbers) == (way, made.content_hash, numbers)
    assert columns_made(found) == ("revenue", "margin", "low", "high")
    with pytest.raises(BundleError, match="gives no probability"):
        Predictor.load(tmp_path / "bundle")


def test_a_bundle_that_no_longer_gives_its_golden_values_is_refused(tmp_path):
    write_value_bundle(tmp_path / "bundle", CONTRACTS, None, None, {})
    path = tmp_path / "bundle" / "golden.json"
    golden = json.loads(path.read_text())
    golden["margin"][0] += 1
    path.write_text(json.dumps(golden))
    with pytest.raises(BundleError, match="damaged"):
        ValuePredictor.load(tmp_path / "bundle")
    found = ValuePredictor.load(tmp_path / "bundle", verify=False)
    with pytest.raises(BundleError, match="golden customers"):
        _check_golden(tmp_path, found, path.read_bytes())


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["value.json", "golden.json"])
def test_any_wrong_value_anywhere_in_a_bundle_is_a_bundle_error_or_changes_no_golden_value(tmp_path, name, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)
    for place, numbers in enumerate((CONTRACTS, KNOWN)):
        folder = tmp_path / str(place)
        write_value_bundle(folder, numbers, None, None, {})
        manifest, files, _ = read_files(folder)
        plain = {key: value for key, value in manifest.items() if key != "files"}
        refused = tried = 0
        for document in spoilt(json.loads(files[name])):
            write_files(folder, plain, {**files, name: json.dumps(document).encode()})
            tried += 1
            try:
                ValuePredictor.load(folder)
            except BundleError:
                refused += 1
        assert refused > tried / 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("change", [
    lambda table: table[:-1],
    lambda table: [row[:-1] for row in table],
    lambda table: [[*table[0][:-1], 9.0], *table[1:]],
    lambda table: [[-value for value in row] for row in table],
    lambda table: [[1e30] * len(table)] * len(table),
])  # fmt: skip
@pytest.mark.parametrize("of", ["purchases", "spend"])
def test_how_far_numbers_are_known_is_a_covariance_of_as_many_or_refused(tmp_path, of, change):
    write_value_bundle(tmp_path / "bundle", KNOWN, None, None, {})
    manifest, files, _ = read_files(tmp_path / "bundle")
    document = json.loads(files["value.json"])
    document[of]["covariance"] = change(document[of]["covariance"])
    plain = {key: value for key, value in manifest.items() if key != "files"}
    write_files(tmp_path / "bundle", plain, {**files, "value.json": json.dumps(document).encode()})
    with pytest.raises(BundleError):
        ValuePredictor.load(tmp_path / "bundle")


@pytest.mark.parametrize("numbers", [CONTRACTS, SHOP])
def test_a_value_lies_in_its_interval_on_the_whole_and_grows_with_the_horizon(numbers):
    short, long = (valued(PEOPLE, numbers, days=days, discount=0.0) for days in (180, 1095))
    known = np.isfinite(long.margin)
    assert known.any()
    assert (long.low[known] <= long.high[known]).all()
    assert (short.margin[known] <= long.margin[known] + 1e-9).all()
    assert (valued(PEOPLE, numbers, days=1095, discount=0.2).margin[known] <= long.margin[known] + 1e-9).all()
    assert long.low.sum() < long.margin[known].sum() < long.high[known].sum()


def test_who_is_sooner_to_leave_is_worth_less():
    within = [(4, np.full(12, 0.02)), (26, np.full(12, 0.1))]
    risky = [(4, np.full(12, 0.3)), (26, np.full(12, 0.8))]
    runs = (PEOPLE.state == "running") & ~PEOPLE.is_annual
    calm, wild = (valued(PEOPLE, CONTRACTS, said).margin[runs] for said in (within, risky))
    assert (wild < 0.6 * calm).all()


def test_a_customer_by_contract_is_valued_alike_whoever_else_is_there():
    whole = valued(PEOPLE, CONTRACTS)
    rows = np.flatnonzero(whole.way == "contract")
    alone = valued(PEOPLE.take(rows[2:5]), CONTRACTS)
    assert alone.margin.tolist() == whole.margin[rows[2:5]].tolist()
    assert alone.high.tolist() == whole.high[rows[2:5]].tolist()


def test_one_time_buyers_are_flagged_and_no_margin_is_null_and_never_zero():
    told = valued(PEOPLE, replace(SHOP, margin=None))
    assert (told.is_cold == (PEOPLE.payments == 1)).all()
    assert np.isnan(told.margin).all()
    assert np.isfinite(told.revenue).all()


def test_what_a_subscription_brings_is_found_from_who_ran_all_the_time():
    random = np.random.default_rng(0)
    mrr = random.choice([19.0, 49.0, 99.0, 399.0], 500)
    found = flow(mrr, (0.76 * 12 * mrr + 60) * random.uniform(0.8, 1.2, 500) / 2, days=182.5)
    assert found.share == pytest.approx(0.76, rel=0.05)
    assert found.beside == pytest.approx(60, rel=0.25)
    assert found.ratios[0] < 0.85 < 1.15 < found.ratios[-1]

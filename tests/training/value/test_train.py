"""The value model from tables to champion: judged out of time, told in a card, in the registry, in the next week."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vouch.features.errors import Refused
from vouch.features.ingest.stage import opened, stage
from vouch.features.metrics.context import MetricContext
from vouch.features.project import Project
from vouch.features.simulation.company import simulate
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.models.registry import versions
from vouch.models.registry.bundles import load_value_champion
from vouch.models.registry.champions import history
from vouch.models.value.histories import histories
from vouch.models.value.valuation import fit_values, valued
from vouch.training.value.named import train_named
from vouch.training.value.train import fit_and_judge_value

NOW_US = LAST_INSTANT_US + 6 * 3_600_000_000


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop without subscriptions: buyers with rates and lifetimes of their own, over two years."""
    folder, random = tmp_path_factory.mktemp("shop"), np.random.default_rng(3)
    start = pd.Timestamp("2024-11-16", tz="UTC")
    sales = []
    for number in range(600):
        day = random.uniform(0, 500)
        rate, leaves, mean = random.gamma(1.0, 1 / 60), random.beta(1.0, 4.0), 30 * random.gamma(4, 0.25)
        while day < 730:
            sales.append((f"c{number:03}", start + pd.Timedelta(days=day), mean * random.gamma(6, 1 / 6)))
            if random.random() < leaves:
                break
            day += random.exponential(1 / rate) + 1.0
    rows = pd.DataFrame(sales, columns=["customer_id", "occurred_at", "amount"])
    rows = rows[rows["occurred_at"] < pd.Timestamp("2026-11-16", tz="UTC")]
    rows = rows.assign(transaction_id=[f"t{n}" for n in range(len(rows))], kind="purchase",
                       gross_margin=rows["amount"] * 0.4, amount=rows["amount"].round(2))  # fmt: skip
    first = rows.groupby("customer_id", as_index=False)["occurred_at"].min()
    rows.to_parquet(folder / "transactions.parquet")
    first.rename(columns={"occurred_at": "created_at"}).to_parquet(folder / "customers.parquet")
    return folder


def project(folder, home):
    return Project(home=home, location=str(folder))


def test_a_shop_is_valued_by_purchases_judged_on_a_year_and_promoted(shop, tmp_path):
    where = project(shop, tmp_path / "home")
    (report,) = train_named(where, "value", None, NOW_US)
    assert report.way == "purchases"
    assert "by purchases, for nothing says when a customer leaves" in report.text()
    assert {"purchases", "naive"} <= report.figures.keys()
    assert report.verdict.passed, report.text()
    champion = load_value_champion(where.home)
    assert champion is not None
    assert champion.content_hash == report.content_hash
    assert history(where.home, "value")[-1]["action"] == "pass"
    _, client = versions.connect(where.home)
    assert client.get_model_version("value", "1").tags.keys() <= versions.OWN_TAGS, "each is guarded"
    card = (where.home / "champions" / "value" / "card.md").read_text()
    assert "1,095 exact days" in card
    assert "| naive |" in card
    for said in (f"{report.days} days were judged, and no more", "no watch and no drift", "limits are vouch's own"):
        assert said in card
    assert "at most" in next(rule.why for rule in report.verdict.rules if rule.name == "error")


def test_whatever_engine_opens_the_tables_the_same_is_fitted_and_trees_are_judged_with_their_intervals(shop, tmp_path):
    where = project(shop, tmp_path / "home")
    staged = stage(where, NOW_US)
    fitted, other = (fit_and_judge_value(opened(where, staged, engine), NOW_US) for engine in ("polars", "duckdb"))
    assert fitted == other
    assert 0 < fitted.figures["boosted"]["covered"] < 1
    assert fitted.figures["boosted"]["covered"] != fitted.figures["purchases"]["covered"]


def test_data_that_break_the_contract_make_no_champion(shop, tmp_path):
    """As for the models that give a probability: one rule of the gate for all."""
    folder = tmp_path / "spoilt"
    folder.mkdir()
    for path in shop.glob("*.parquet"):
        rows = pd.read_parquet(path)
        if path.stem == "transactions":
            rows.loc[rows.index % 10 == 0, "amount"] = np.nan
        rows.to_parquet(folder / path.name)
    where = project(folder, tmp_path / "home")
    (report,) = train_named(where, "value", None, NOW_US)
    assert [rule.name for rule in report.verdict.refusals] == ["contract"]
    assert load_value_champion(where.home) is None


def test_a_company_in_which_nothing_is_paid_is_told_what_is_missing(tmp_path):
    """Contracts whose price no file names: there is nothing to value, and nothing that is no number is written down."""
    folder = tmp_path / "club"
    folder.mkdir()
    start = pd.to_datetime([f"2025-{1 + n % 12:02}-01" for n in range(300)], utc=True)
    ended = start.where(np.arange(300) % 3 > 0) + pd.Timedelta(days=200)
    people = [f"c{n}" for n in range(300)]
    pd.DataFrame({"subscription_id": people, "customer_id": people, "started_at": start, "ended_at": ended,
                  "mrr": 0.0}).to_parquet(folder / "subscriptions.parquet")  # fmt: skip
    pd.DataFrame({"customer_id": people, "created_at": start}).to_parquet(folder / "customers.parquet")
    pd.DataFrame({"customer_id": people, "occurred_at": start + pd.Timedelta(days=300),
                  "event": "visit"}).to_parquet(folder / "usage_events.parquet")  # fmt: skip
    with pytest.raises(Refused, match=r"nobody brought anything .* needs what is paid: transactions.amount"):
        train_named(project(folder, tmp_path / "home"), "value", None, NOW_US)


def test_too_little_history_is_refused_with_what_it_takes(tmp_path):
    folder = tmp_path / "young"
    folder.mkdir()
    at = pd.date_range("2026-11-01", periods=10, freq="D", tz="UTC")
    frame = pd.DataFrame({"transaction_id": [f"t{n}" for n in range(10)], "customer_id": "a", "occurred_at": at,
                          "amount": 5.0, "kind": "purchase"})  # fmt: skip
    frame.to_parquet(folder / "transactions.parquet")
    pd.DataFrame({"customer_id": ["a"], "created_at": at[:1]}).to_parquet(folder / "customers.parquet")
    with pytest.raises(Refused, match="days are known, and it takes 84"):
        train_named(project(folder, tmp_path / "home"), "value", None, NOW_US)


@pytest.mark.nightly
def test_the_80_percent_intervals_hold_75_to_85_percent_of_what_customers_then_bring(tmp_path):
    """On the margins that the simulation knows of the weeks after its tables end."""
    folder = simulate(tmp_path / "company", customers=3_000, weeks=78, seed=3)
    where = project(folder, tmp_path / "home")
    tables = opened(where, stage(where, NOW_US), "polars")
    fitted = fit_and_judge_value(tables, LAST_INSTANT_US)
    assert fitted.figures["contract"]["rank_correlation"] > fitted.figures["naive"]["rank_correlation"]
    of = histories(MetricContext(tables, LAST_INSTANT_US))
    true = pd.read_parquet(folder / "truth" / "margins.parquet").set_index("customer_id")
    for days in (365, 1_095):
        said = valued(of, fit_values(of, has_contracts=True), days=days, discount=0.0)
        came = true[f"margin_{days}d"].reindex(of.customers).to_numpy()
        held = (came >= said.low - 0.01) & (came <= said.high + 0.01)
        assert 0.75 <= held.mean() <= 0.85, (days, held.mean())

"""Parts of a health score: those that the rules give, adding up to it, and the band says why it is so."""

from __future__ import annotations

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from support.handwritten_weeks import customer, publish
from vouch.features.health import UNKNOWN, health_rules, with_health
from vouch.features.health.rules import FILE, read_rules
from vouch.serving.api.front import Middleware, MountedApp
from vouch.serving.api.handlers.health_parts import health_of
from vouch.serving.api.handlers.overrides import OverrideRecord, record_override
from vouch.serving.api.handlers.read import get_customer, search_at_risk
from vouch.serving.api.schemas import AtRiskSearch, CustomerGet
from vouch.serving.api.state import ServingState
from vouch.serving.exports.export import export
from vouch.serving.exports.targets import Target
from vouch.serving.presentation.translations import LANGUAGES, speech
from vouch.serving.site import open_site
from vouch.serving.store.callers import EVERYBODY
from vouch.serving.web.render import customer_url

NAMES = [measure.feature for measure in health_rules().measures]
VALUES = st.fixed_dictionaries(
    {name: st.one_of(st.none(), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 3.0, 9.0, 20.0])) for name in NAMES}
)


@given(VALUES)
def test_the_parts_add_up_to_the_score_and_its_bounds(values):
    row = pl.DataFrame([values], schema=dict.fromkeys(NAMES, pl.Float64))
    (wanted,) = with_health(nw.from_native(row.lazy())).collect("polars").to_native().to_dicts()
    found = health_of(values)
    assert found["lowest"] == pytest.approx(wanted["health_low"])
    assert found["highest"] == pytest.approx(wanted["health_high"])
    assert found["coverage"] == pytest.approx(wanted["health_coverage"])
    known = [part for part in found["parts"] if part["points"] is not None]
    if known:
        weight = sum(part["weight"] for part in known)
        score = sum(part["weight"] * part["points"] for part in known) / weight
        assert score == pytest.approx(wanted["health_score"])
    if wanted["health_band"] == UNKNOWN:
        assert UNKNOWN in found["explanation"]
    elif found["explanation"] is not None:
        assert f"The band is {wanted['health_band']} and not" in found["explanation"]


def test_what_the_rules_leave_out_for_a_segment_is_no_part_and_the_weights_of_the_others_are_shares():
    rules = read_rules("version = 2\n[segments.small]\nweights = { nps_last = 0, tickets_open = 0.6 }\n", FILE)
    of_all, of_small = (health_of({"nps_last": 9.0, "segment": name}, rules)["parts"] for name in (None, "small"))
    assert {part["feature"] for part in of_all} - {part["feature"] for part in of_small} == {"nps_last"}
    for parts in (of_all, of_small):
        assert sum(part["weight"] for part in parts) == pytest.approx(1)
    (tickets,) = (part["weight"] for part in of_small if part["feature"] == "tickets_open")
    assert tickets == pytest.approx(0.6 / 1.35)


OWN = read_rules("version = 2\n[segments.enterprise]\nbands = { watch = 20, healthy = 40 }\n", FILE)
KNOWN = {"health_score": 60.0, "health_coverage": 0.7, "health_low": 42.0, "health_high": 72.0}
PEOPLE = [
    customer("c1", 0.6, **KNOWN, health_band="at_risk", segment="small"),
    customer("c2", 0.6, **KNOWN, health_band="healthy", segment="enterprise"),
    customer("c3", 0.6, **KNOWN | {"health_coverage": 0.5}, health_band="unknown", segment="small"),
]
REASONS = {"c1": "lower_bound", "c2": None, "c3": "too_little_known"}


@pytest.fixture
def served(tmp_path):
    told = {"version": 2, "digest": OWN.digest, "rules": OWN.as_dict()}
    snapshot = publish(tmp_path / "home", people=PEOPLE, health=told)
    store = ServingState(tmp_path / "home")
    store.refresh()
    yield store, snapshot
    store.stop()


def test_api_list_export_and_page_say_alike_why_a_band_contradicts_its_number(served, tmp_path):
    store, snapshot = served
    answers = {name: get_customer(store, CustomerGet(customer_id=name)) for name in REASONS}
    told = {name: answer["health_band_reason"] for name, answer in answers.items()}
    assert {name: why and why["code"] for name, why in told.items()} == REASONS
    assert (told["c1"]["band_of_score"], told["c1"]["low"], told["c3"]["coverage_floor"]) == ("watch", 42.0, 0.6)
    rows = search_at_risk(store, AtRiskSearch())["customers"]
    assert {row["customer_id"]: row["health_band_reason"] for row in rows} == told
    export(snapshot, Target.PARQUET, tmp_path / "out")
    written = pl.read_parquet(tmp_path / "out" / "*.parquet").to_dicts()
    words = {name: why and why["words"] for name, why in told.items()}
    assert {row["customer_id"]: row["health_band_reason"] for row in written} == words
    site = open_site(MountedApp(), store, is_local=True)
    client = TestClient(Middleware(site, site), "http://127.0.0.1:8000")
    for language in LANGUAGES:
        speaks = speech(language)
        lower, little = (speaks.texts[f"health.{code}"].split("{")[0] for code in ("lower_bound", "too_little_known"))
        pages = {name: client.get(customer_url(name), headers={"Accept-Language": language}).text for name in REASONS}
        assert [lower in page for page in pages.values()] == [True, False, False]
        assert [little in page for page in pages.values()] == [False, False, True]


def test_a_score_by_hand_has_the_band_of_the_rules_of_the_week_and_of_the_segment(served):
    store, _ = served
    for name in ("c1", "c2"):
        made = OverrideRecord(override_id=name, customer_id=name, score=45.0, reason="their sponsor left")
        record_override(store, made, EVERYBODY)
    counts = {name: get_customer(store, CustomerGet(customer_id=name))["health_counts"] for name in ("c1", "c2")}
    assert {name: (one["score"], one["band"]) for name, one in counts.items()} == {
        "c1": (45.0, "at_risk"), "c2": (45.0, "healthy"),
    }  # fmt: skip

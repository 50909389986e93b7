"""Lists behind the figures: who said and did not do, who is hidden, who may be lost, what is needed."""

from __future__ import annotations

import json

import narwhals as nw
import numpy as np
import polars as pl
import pytest

from support.made_up_companies import with_nobody
from support.rows.metric_examples import INSTANT_US, company, one
from vouch.features.contract.tables import DAY_US
from vouch.features.errors import UsageError
from vouch.features.facts.act_weights import act_weights
from vouch.features.metrics.context import MetricContext, Settings
from vouch.features.metrics.evaluate import definition_fingerprint
from vouch.features.metrics.examples import answers
from vouch.features.metrics.lists.lists import LISTS, list_meanings, list_rows
from vouch.features.metrics.populations.advocacy import tiers
from vouch.features.statistics.quadrants import NAMES, quadrants
from vouch.serving.batch.tiers import tiers as published_tiers


def rows_of(name, rows, scores=None):
    return list_rows(MetricContext(company(rows), INSTANT_US, scores), name)


def scored(**columns):
    return nw.from_native(pl.DataFrame(columns).lazy())


def test_the_say_do_gap_names_promoters_and_agrees_with_the_figure():
    rows = {
        "surveys": [{**row, "customer_id": c, "invited_at": -150}
                    for c, row in zip("abcde", answers("nps", [9, 10, 9, 10, 9], 0, 10), strict=True)],
        "advocacy_acts": [{"customer_id": "c", "occurred_at": -100, "kind": "review"}],
    }  # fmt: skip
    found = rows_of("say_do_gap", rows)
    assert [(row["customer_id"], row["has_acted"]) for row in found] == [
        ("a", False), ("b", False), ("d", False), ("e", False), ("c", True)]  # fmt: skip
    assert one(rows, "say_do_rate").value == pytest.approx(100 * np.mean([row["has_acted"] for row in found]))


ACTS = {
    "advocacy_acts": [{"customer_id": c, "occurred_at": -20, "kind": "review"} for c in "abc"],
    "asks": [{"customer_id": "b", "asked_at": -90, "kind": "review"}],
    "recognitions": [{"customer_id": "c", "occurred_at": -9, "kind": "thanks"}],
}


def test_a_hidden_advocate_speaks_up_and_was_never_asked_or_thanked():
    assert [row["customer_id"] for row in rows_of("hidden_advocates", ACTS)] == ["a"]


def test_with_scores_the_likeliest_tenth_is_hidden_too():
    people = [f"c{n:02}" for n in range(20)]
    rows = {**ACTS, "customers": [{"customer_id": c, "created_at": -99} for c in people]}
    scores = scored(customer_id=people, advocacy_score=[float(n) for n in range(20)])
    assert [row["customer_id"] for row in rows_of("hidden_advocates", rows, scores)] == ["a", "c19", "c18"]


def test_advocates_at_risk_are_told_by_the_scores_with_what_they_pay():
    rows = {**ACTS, "subscriptions": [{"customer_id": c, "started_at": -99, "mrr": 7} for c in "ab"]}
    scores = scored(customer_id=["a", "b", "x"], churn_band=["high", "low", "high"], churn_probability=[0.4, 0.1, 0.9])
    (found,) = rows_of("advocates_at_risk", rows, scores)
    assert found == {"customer_id": "a", "tier": "active", "churn_band": "high", "churn_probability": 0.4, "mrr": 7.0}


def test_the_first_need_that_is_not_met_is_named_in_the_order_of_the_list():
    rows = {
        "advocacy_acts": [{"customer_id": c, "occurred_at": -20, "kind": "review"} for c in "ab"],
        "recognitions": [{"customer_id": "a", "occurred_at": -9, "kind": "thanks"}],
        "tickets": [{"customer_id": "b", "opened_at": -30, "resolved_at": -29, "first_response_at": -30}],
    }
    found = {row["customer_id"]: row for row in rows_of("care_needs", rows)}
    assert (found["a"]["first_unmet_need"], found["a"]["respect"], found["a"]["gratitude"]) == ("recognition", None, 1)
    assert (found["b"]["first_unmet_need"], found["b"]["respect"]) == ("gratitude", 1)


def order(customer, at, amount, **more):
    return {"customer_id": customer, "occurred_at": -at, "amount": amount, "kind": "purchase", **more}


def test_trading_down_is_told_with_its_states_its_split_and_what_it_looks_like():
    rows = {"transactions": [
        *(order("down", 95 + n, 50.0, category="a", discount=0) for n in range(4)),
        *(order("down", 5 + n, 10.0, category="a", discount=3) for n in range(16)),
        *(order("watch", 100 + n, 50.0 + n) for n in range(3)), *(order("watch", 10 + n, 37.5 + n) for n in range(4)),
        *(order("same", at, 20.0) for at in (10, 20, 30, 100, 110, 120)),
        order("new", 5, 10.0),
    ]}  # fmt: skip
    found = {row["customer_id"]: row for row in rows_of("trading", rows)}
    assert {c: (row["frequency"], row["spend"], row["flag"]) for c, row in found.items()} == {
        "down": ("up", "down", "trading_down"), "watch": ("up", "down", "watch"), "same": ("flat", "flat", None)
    }  # fmt: skip
    assert found["down"]["sub_reason"] == "cheaper_alternative"
    for row in found.values():
        assert row["by_frequency"] + row["by_spend"] == pytest.approx(row["change"], abs=1e-9)


def test_topics_and_reasons_are_counted():
    talk = {"feedback": [{"source": "own_site", "occurred_at": at, "topic": topic} for topic, before, now in
                         (("price", 5, 40), ("support", 50, 12)) for at, n in ((-10, before), (-3, now))
                         for _ in range(n)]}  # fmt: skip
    found = {row["topic"]: row for row in rows_of("topics", talk)}
    assert (found["price"]["this_week"], found["price"]["week_before"]) == (40, 5)
    assert found["price"]["log_odds"] > 0 > found["support"]["log_odds"]
    recorded = ({"cancel_reason": "price"}, {"cancel_reason": "price", "is_voluntary": False}, {})
    left = {"subscriptions": [{"started_at": -99, "ended_at": -9, "mrr": 1, **more} for more in recorded]}
    assert rows_of("churn_reasons", left) == [
        {"reason": "price", "customers": 2, "involuntary": 1},
        {"reason": "not recorded", "customers": 1, "involuntary": 0},
    ]


def override(customer, score, set_at, expires_at):
    return {"customer_id": customer, "score": score, "reason": "known dispute", "set_by": "kim", "set_at": set_at,
            "expires_at": expires_at}  # fmt: skip


def test_an_override_expires_and_never_changes_the_score():
    used = [
        {"customer_id": f"c{n}", "occurred_at": -1 - day, "event": "open"} for n in range(5) for day in range(0, 56, 2)
    ]
    rows = {"usage_events": used}
    more = {**rows, "health_overrides": [
        override("c0", 90, -30, -1), override("c1", 20, -30, 9), override("c1", 30, -20, 9), override("c2", 80, 1, 9),
        override("c3", 80, -9, 0),
    ]}  # fmt: skip
    (found,) = rows_of("health_overrides", more)
    assert (found["customer_id"], found["score"], found["band"], found["set_by"]) == ("c1", 30, "at_risk", "kim")
    assert one(more, "health_score") == one(rows, "health_score")


def test_who_has_left_keeps_the_score_of_the_monday_before():
    used = [{"customer_id": "gone", "occurred_at": -12 - day, "event": "open"} for day in range(0, 56, 2)]
    rows = {"usage_events": used, "subscriptions": [
        {"customer_id": "gone", "started_at": -300, "ended_at": -10, "mrr": 5},
        {"customer_id": "stays", "started_at": -300, "mrr": 5},
    ]}  # fmt: skip
    (found,) = rows_of("health_frozen", rows)
    assert found["customer_id"] == "gone"
    later = list_rows(MetricContext(company(rows), INSTANT_US + 14 * DAY_US), "health_frozen")
    assert later == [found]


def test_a_list_that_is_not_there_or_cannot_be_made_is_said():
    with pytest.raises(UsageError, match="did you mean 'trading'"):
        rows_of("tradin", ACTS)
    with pytest.raises(UsageError, match="needs surveys"):
        rows_of("say_do_gap", ACTS)
    assert {row["list"] for row in list_meanings()} == LISTS.keys()


def test_quadrants_keep_who_is_near_a_border():
    draw = np.random.default_rng(3)
    value, brought = draw.normal(size=200), draw.normal(size=200)
    before = quadrants(value, brought)
    nudged = quadrants(value + draw.normal(0, 0.02, 200), brought, before)
    free = quadrants(value + draw.normal(0, 0.02, 200), brought)
    assert (nudged != before).sum() <= (free != before).sum()
    assert {NAMES[code] for code in before} == set(NAMES)
    far = quadrants(-value, brought, before)
    assert (far != before).mean() > 0.8


SNAPSHOT = {
    "customer_id": [f"c{n}" for n in range(40)],
    "clv_margin": [100.0 + 10 * n for n in range(40)],
    "churn_reasons": [
        [{"family": "usage", "feature": "f", "value": "1", "contribution": 0.5 + 0.01 * n},
         {"family": "support", "feature": "g", "value": "2", "contribution": -0.1}] for n in range(40)
    ],
}  # fmt: skip


def test_metrics_that_rest_on_a_model_come_from_the_scores_of_a_snapshot():
    sales = [order(f"c{n}", 95 - n % 2 * 40, 10.0, gross_margin=5.0) for n in range(40)]
    spending = {"kind": "sales", "started_at": -360, "ended_at": 0, "amount": 16000}
    rows = {
        "transactions": sales,
        "customers": [{"customer_id": f"c{n}", "created_at": -50 if n < 8 else -400} for n in range(40)],
        "costs": [spending],
        "capex": [{"started_at": -100, "ended_at": -1, "category": "x", "amount": 990}],
        "referrals": [
            {"advocate_id": f"c{n}", "prospect_id": f"c{n + 1}", "invited_at": -110, "counterfactual_p": 0.5}
            for n in range(30, 39)
        ],
    }
    found = {name: one(rows, name, scores=scored(**SNAPSHOT)) for name in
             ("clv_margin", "clv_to_cac", "clv_per_capex", "value_quadrants", "churn_drivers")}  # fmt: skip
    assert found["clv_margin"].value == pytest.approx(295)
    assert found["clv_to_cac"].value == pytest.approx(295 / (4000 / 8))
    assert found["clv_per_capex"].status == "ok"
    assert 0 < found["value_quadrants"].value <= 50
    assert found["churn_drivers"].value == 1.0  # usage before support in every draw
    assert {name for name, e in found.items() if e.ci_low is None} == {"churn_drivers"}, "no width, no interval"
    drawn = list_rows(MetricContext(company(rows), INSTANT_US, scored(**SNAPSHOT)), "churn_drivers")
    assert [(row["family"], row["raised"]) for row in drawn] == [("usage", 1.0), ("support", 0.0)]
    without = {name: one(rows, name) for name in found}
    assert {e.status for e in without.values()} == {"not_applicable"}
    assert {e.reason.partition(":")[0] for e in without.values()} == {"no_model"}


def test_capital_expenditure_is_that_of_the_last_full_quarter():
    """The instant is 2024-10-04: the quarter is July to September, 92 days; customers are worth 11,800 in all."""
    rows = {
        "transactions": [order(f"c{n}", 50, 10.0) for n in range(40)],
        "capex": [{"started_at": -95, "ended_at": 89, "category": "x", "amount": 1840}],
    }
    assert one(rows, "clv_per_capex", scores=scored(**SNAPSHOT)).value == pytest.approx(11_800 / 920)


def test_registered_sources_are_covered_when_their_feedback_arrives_in_time():
    rows = {"feedback": [{"source": "google", "occurred_at": -9}, {"source": "trustpilot", "occurred_at": -9,
                         "ingested_at": -1}, {"source": "amazon", "occurred_at": -40}]}  # fmt: skip
    registered = Settings(feedback_sources=("google", "trustpilot", "amazon", "social"))
    found = one(rows, "source_coverage", settings=registered)
    assert (found.value, found.n, found.status) == (25.0, 4, "ok")


def test_a_forecast_serves_persistence_unless_it_beats_it_and_covers_what_it_says():
    from vouch.features.statistics.forecast import forecast

    draw, inside = np.random.default_rng(9), []
    walk = forecast(np.cumsum(draw.normal(0, 0.05, 100)), 4)
    for _ in range(60):
        tone = 0.3 + draw.normal(0, 0.1, 104)
        found = forecast(tone[:100], 4)
        inside.append(found.low <= tone[100:].mean() <= found.high)
        assert found.is_persistence == (found.skill <= 0)
    assert 0.6 < np.mean(inside) < 0.95
    assert found.skill > 0.1  # noise about a level is drawn back to it
    assert walk.skill < 0.2
    assert forecast(np.full(20, 0.1), 4) is None


def test_sources_of_feedback_are_told_whether_they_speak_or_not():
    rows = {"feedback": [{"source": "google", "occurred_at": -9, "topic": "price"}, {"source": "google",
                         "occurred_at": -8, "ingested_at": -0.5}]}  # fmt: skip
    context = MetricContext(company(rows), INSTANT_US, None, Settings(feedback_sources=("google", "social")))
    google, social = list_rows(context, "feedback_sources")
    assert (google["texts"], google["in_time"], google["with_topic"], google["newest_at"]) == (
        2,
        0.5,
        0.5,
        "2024-09-26",
    )
    assert (social["is_registered"], social["texts"], social["in_time"]) == (True, 0, None)


def test_members_are_told_by_tier():
    rows = {
        "loyalty_members": [{"customer_id": c, "enrolled_at": -200, "tier": t}
                            for c, t in zip("abcd", "ggss", strict=True)],
        "loyalty_ledger": [{"customer_id": c, "occurred_at": at, "kind": "earn", "points": 5}
                           for c, at in (("a", -9), ("a", -100), ("b", -100), ("c", -9))],
    }  # fmt: skip
    assert rows_of("loyalty_tiers", rows) == [
        {"tier": "g", "members": 2, "active": 1, "one_and_done": 1},
        {"tier": "s", "members": 2, "active": 1, "one_and_done": 1},
    ]


@pytest.fixture(scope="module")
def moments(staged):
    from vouch.features.ingest.stage import open_tables
    from vouch.features.simulation.parameters import LAST_INSTANT_US

    at = staged.default_as_of_us(LAST_INSTANT_US)
    return [MetricContext(open_tables(staged, engine), at) for engine in ("duckdb", "polars")]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_the_simulated_company_is_the_same_on_both_engines(moments, name):
    first, second = (told(context, name) for context in moments)
    assert first == second


def told(context, name):
    """A list to the letter, as a week holds it; or why there is none."""
    try:
        return json.dumps(list_rows(context, name))
    except UsageError as error:
        return str(error)


def test_the_last_who_invited_has_the_revenue_where_the_company_says_so():
    from vouch.features.metrics.populations.attribution import credits

    rows = {
        "referrals": [{"advocate_id": a, "prospect_id": "p", "invited_at": -at} for a, at in (("a", 60), ("b", 50))],
        "transactions": [order("p", 40, 100.0)],
    }
    for setting, advocate in (("first", "a"), ("last", "b")):
        context = MetricContext(company(rows), INSTANT_US, None, Settings(attribution=setting))
        assert credits(context).collect("polars")["advocate_id"].to_list() == [advocate]
        assert one(rows, "advocacy_revenue", settings=Settings(attribution=setting)).value == 100


def test_public_praise_counts_as_speaking_up_only_where_the_company_says_so():
    rows = {
        "usage_events": [{"customer_id": c, "occurred_at": -2, "event": "open"} for c in "abcde"],
        "advocacy_acts": [{"customer_id": "a", "occurred_at": -9, "kind": "review"}],
        "feedback": [{"customer_id": c, "source": source, "occurred_at": -9, "polarity": tone}
                     for c, source, tone in (("a", "google", 90), ("b", "google", 90), ("c", "google", -90),
                                             ("d", "support", 90))],
        "social_posts": [{"author": "e", "customer_id": "e", "platform": "x", "occurred_at": -5, "polarity": 50,
                          "is_brand_mention": True, "reach": 10}],
    }  # fmt: skip
    with_voices = Settings(counts_voices=True)
    assert one(rows, "advocacy_participation").value == 20
    assert one(rows, "advocacy_participation", settings=with_voices).value == 60
    assert one(rows, "act_depth", settings=with_voices).n == 3  # the review of `a` stands once


WEIGHED_ACTS = {
    "advocacy_acts": [{"customer_id": c, "occurred_at": -9, "kind": kind, "reach": reach}
                      for c, kind, reach in (("a", "case_study", 10), ("a", "review", 0), ("b", "review", 20),
                                             ("c", "review", 0), ("d", "review", 0), ("e", "beta", 0))],
}  # fmt: skip


@pytest.mark.parametrize(
    ("own", "depth", "influential"), [({}, 1.2, "b"), ({"case_study": 5.5}, 2.1, "a"), ({"beta": 0}, 1.0, "b")]
)
def test_depth_and_influence_weigh_acts_by_their_kind_as_the_company_says(own, depth, influential):
    weights = act_weights(own)
    settings = Settings(act_weights=weights)
    assert one(WEIGHED_ACTS, "act_depth", settings=settings).value == pytest.approx(depth)
    tables = company(WEIGHED_ACTS)
    ranked = tiers(MetricContext(tables, INSTANT_US, None, settings)).collect("polars").to_native()
    assert ranked.filter(pl.col("rank") == 0)["customer_id"].to_list() == [influential]
    of_week = published_tiers(tables, INSTANT_US, settings)
    assert [customer for customer, tier in of_week.items() if tier == "influential"] == [influential]
    assert (definition_fingerprint(settings) == definition_fingerprint(Settings())) == (not own)


def test_all_who_invited_share_the_revenue_where_the_company_says_so_and_nothing_counts_twice():
    from vouch.features.metrics.definitions.revenue import referrers_by_value
    from vouch.features.metrics.populations.attribution import credits

    invitations = [("a", "p", 60, 0.0), ("b", "p", 50, 0.5), ("c", "p", 45, 0.0), ("d", "p", 75, 0.0),
                   ("a", "q", 60, 0.0)]  # fmt: skip
    rows = {
        "customers": [{"customer_id": c, "created_at": -40} for c in "pq"],
        "referrals": [{"advocate_id": a, "prospect_id": p, "invited_at": -at, "counterfactual_p": chance}
                      for a, p, at, chance in invitations],
        "transactions": [order("p", 40, 300.0, gross_margin=90), order("p", 10, 300.0, gross_margin=0),
                         order("q", 40, 100.0, gross_margin=50), order("z", 20, 99.0, gross_margin=1),
                         order("z", 400, 50.0, gross_margin=1), order("z", 800, 1.0, gross_margin=1)],
    }  # fmt: skip
    shared = Settings(attribution="linear", hidden_below=1)
    context = MetricContext(company(rows), INSTANT_US, None, shared)
    found = credits(context).collect("polars").to_native()
    assert found.group_by("customer_id").agg(pl.col("share").sum()).sort("customer_id").rows() == [("p", 1), ("q", 1)]
    assert sorted(found.filter(pl.col("customer_id") == "p")["advocate_id"]) == ["a", "b", "c"]  # `d` came too early
    assert one(rows, "advocacy_revenue", settings=shared).value == one(rows, "advocacy_revenue").value == 700
    lost = 600 / 6  # the mean chance of p to come anyway is a sixth
    assert one(rows, "advocacy_revenue_share_incremental", settings=shared).value == pytest.approx(
        100 * (700 - lost) / 799
    )
    worth = dict(
        referrers_by_value.prepare(context, 365).select("sender", "value").collect("polars").to_native().rows()
    )
    assert worth["b"] == pytest.approx(15, abs=0.2)  # a third of 90, half of which would have come
    assert worth["c"] == pytest.approx(30, abs=0.2)
    assert worth["a"] == pytest.approx(30 + 50, abs=0.5)
    assert worth["d"] == 0
    earned = one(rows, "earned_growth_rate", settings=shared).value
    assert earned == one(rows, "earned_growth_rate", settings=Settings(hidden_below=1)).value == pytest.approx(1498)


def test_cultural_relevance_is_told_by_region_and_language_with_its_parts_and_hides_the_few():
    sizes = {("seoul", "ko"): 40, ("cluj", "ro-RO"): 30, ("cluj", "hu"): 29}
    people = [(f"{region}-{tongue}-{n}", region, tongue, n) for (region, tongue), size in sizes.items()
              for n in range(size)]  # fmt: skip
    scores = [5 if tongue == "ko" or n % 2 else 2 for _, _, tongue, n in people]
    fits = answers("culture", scores, 1, 5, item="fits_my_values")
    rows = {
        "customers": [{"customer_id": c, "created_at": -99, "region": region, "language": tongue}
                      for c, region, tongue, _ in people],
        "surveys": [{**row, "customer_id": c, "language": "ko" if n % 4 == 0 else tongue}
                    for row, (c, _, tongue, n) in zip(fits, people, strict=True)],
    }  # fmt: skip
    hu, ro, ko = rows_of("cultures", rows)
    assert (hu["region"], hu["language"], hu["answers"], hu["relevance"], hu["fits"]) == ("cluj", "hu", 29, None, None)
    assert hu["reason"] == "n is below 30"
    assert (ko["fits"], ko["own_language"], ko["response"], ko["relevance"]) == (1, 1, 1, 100)
    own = 22 / 30
    assert (ro["language"], ro["answers"], ro["fits"]) == ("ro", 30, 0.5)
    assert ro["own_language"] == pytest.approx(own)
    assert ro["relevance"] == pytest.approx(100 * (0.5 + own + 1) / 3)
    assert ro["ci_low"] < ro["relevance"] < ro["ci_high"]
    untold = {**rows, "surveys": [{**row, "language": None} for row in rows["surveys"]]}
    assert {row["reason"] for row in rows_of("cultures", untold)} == {"n is below 30", "not known: own_language"}


DAYS_AGO = {"f1": 200, "f2": 10, "f3": 3, "acted": 50, "closed": 50, "old": 400}


def test_open_feedback_is_what_nobody_acted_on_or_closed_the_longest_open_first():
    rows = [
        {"feedback_id": name, "source": "google", "occurred_at": -days, "topic": "price", "polarity": -100,
         "acted_on_at": -20 if name == "acted" else None, "closed_at": -20 if name == "closed" else None}
        for name, days in DAYS_AGO.items()
    ]  # fmt: skip
    found = rows_of("open_feedback", {"feedback": rows})
    assert [(row["feedback_id"], row["days_open"]) for row in found] == [("f1", 200), ("f2", 10), ("f3", 3)]
    assert [row["is_overdue"] for row in found] == [True, True, False]
    assert {(row["topic"], row["tone"], row["customer_id"]) for row in found} == {("price", -1.0, None)}


def test_who_left_without_a_reason_is_to_be_asked_those_with_consent_and_the_dearest_first():
    people = {"dear": (True, 90), "cheap": (True, 10), "unwilling": (False, 99), "silent": (None, 99)}
    rows = {
        "customers": [{"customer_id": c, "created_at": -500, "contact_consent": consent}
                      for c, (consent, _) in people.items()],
        "subscriptions": [
            *({"customer_id": c, "started_at": -400, "ended_at": -20, "mrr": mrr} for c, (_, mrr) in people.items()),
            {"customer_id": "told", "started_at": -400, "ended_at": -20, "mrr": 5, "cancel_reason": "price"},
            {"customer_id": "back", "started_at": -400, "ended_at": -20, "mrr": 5},
            {"customer_id": "back", "started_at": -19, "mrr": 5},
            {"customer_id": "there", "started_at": -400, "mrr": 5},
        ],
    }  # fmt: skip
    found = rows_of("to_ask_why", rows)
    assert [row["customer_id"] for row in found] == ["dear", "cheap", "silent", "unwilling"]
    assert [row["may_contact"] for row in found] == [True, True, False, False]
    figure = one(rows, "churn_reason_coverage")
    assert figure.value == pytest.approx(100 * (1 - len(found) / figure.n))


def test_each_buyer_of_a_year_stands_in_one_segment_and_the_segments_count_them():
    buyers = [
        {"customer_id": f"c{n:02}", "occurred_at": -n - 1, "amount": 100 - n, "kind": "purchase"} for n in range(30)
    ]
    found = rows_of("segment_members", {"transactions": buyers})
    assert [row["customer_id"] for row in found[:1]] == ["c00"], "the newest and the largest"
    assert sorted(row["customer_id"] for row in found) == [row["customer_id"] for row in buyers]
    axes = ("recency", "frequency", "spend")
    sizes = rows_of("segments", {"transactions": buyers})
    best = max(sizes, key=lambda row: [row[axis] for axis in axes])
    assert (best["buyers"], best["recency"], best["spend"], best["customers"]) == ("champions", 3, 3, 10)
    assert sum(row["customers"] for row in sizes) == 30
    for row in sizes:
        members = [one_row for one_row in found if all(one_row[axis] == row[axis] for axis in axes)]
        assert len(members) == row["customers"]


def test_the_questionnaire_asks_all_of_maturity_and_shows_what_was_answered_last():
    rows = {"maturity_answers": [
        {"criterion": "own_team", "level": 3, "is_met": False, "answered_at": -90},
        {"criterion": "own_team", "level": 3, "is_met": True, "evidence": "the chart", "answered_at": -9},
        {"criterion": "ours", "level": 2, "is_met": True, "answered_at": -9},
    ]}  # fmt: skip
    found = {row["criterion"]: row for row in rows_of("maturity", rows)}
    assert (found["own_team"]["is_met"], found["own_team"]["evidence"]) == (True, "the chart")
    assert found["own_team"]["asks"].endswith("?")
    assert found["ours"]["asks"] is None
    assert found["part_of_strategy"]["is_met"] is None
    asked = rows_of("maturity", {"customers": []})
    assert {row["level"] for row in asked} == {1, 2, 3, 4}
    assert all(row["asks"] and row["is_met"] is None for row in asked)


@pytest.mark.parametrize("name", ["churn_drivers", "value_quadrants"])
def test_a_list_that_rests_on_a_model_says_that_there_is_none(name):
    rows = {**ACTS, "referrals": [], "transactions": []}
    with pytest.raises(UsageError, match=f"{name}' cannot be made: no_model"):
        rows_of(name, rows)


def test_an_id_that_nobody_has_is_in_no_list_and_in_none_of_its_counts(moments):
    context = moments[1]
    other = MetricContext(with_nobody(context.tables), context.as_of_us)
    for name in set(LISTS) - {
        "feedback_sources",
        "topics",
        "cultures",
        "trading",
        "orders",
        "channels",
        "open_feedback",
        "referral_trees",
    }:
        assert told(other, name) == told(context, name), name
    for name in ("orders", "channels"):
        pairs = zip(list_rows(context, name), list_rows(other, name), strict=True)
        assert all(one_row["customers"] == other_row["customers"] for one_row, other_row in pairs), name
    pairs = zip(list_rows(context, "referral_trees"), list_rows(other, "referral_trees"), strict=True)
    for one_row, other_row in pairs:  # a margin that is not told is that of the company's share
        assert {**one_row, "margin": 0, "margin_below": 0} == {**other_row, "margin": 0, "margin_below": 0}
    people = {None, *context.people["customer_id"].to_pylist()}
    for name in ("open_feedback", "trading"):
        assert {row["customer_id"] for row in list_rows(other, name)} <= people


@pytest.mark.parametrize("name", LISTS)
def test_no_list_falls_over_a_company_that_has_customers_and_one_table_alone(name):
    tables = {need.split("|")[0]: [] for need in LISTS[name].needs}
    people = {"customers": [{"customer_id": "a", "created_at": -99}]}
    for rows in ({**people, **ACTS}, {**people, **tables}, people):
        try:
            found = rows_of(name, rows)
        except UsageError:
            continue
        assert isinstance(found, list)


def test_no_cell_of_a_list_names_who_objects_to_being_profiled_nor_what_he_wrote():
    """He is counted still: "a" brought "b", and wrote the newest of nine like complaints."""
    people = {"customers": [{"customer_id": "a", "created_at": -400, "is_opted_out": True}]}
    said = [
        {"customer_id": who, "feedback_id": f"of {who}", "source": "own_site", "occurred_at": -10 - at,
         "topic": "price", "text": "too expensive", "polarity": -90}
        for at, who in enumerate("abcdefghi")
    ]  # fmt: skip
    tree = {
        "referrals": [{"advocate_id": of, "prospect_id": who, "invited_at": -300, "converted_at": -290}
                      for of, who in (("a", "b"), ("b", "c"))],
        "transactions": [{"customer_id": who, "occurred_at": -280, "amount": 100, "gross_margin": 40,
                          "kind": "purchase"} for who in "bc"],
    }  # fmt: skip
    rows = {**people, "feedback": said, **tree}
    found = {name: rows_of(name, rows) for name in ("referral_trees", "complaints", "words")}
    assert [row["customer_id"] for row in found["referral_trees"]] == ["b"]
    assert (found["complaints"][0]["these_weeks"], found["words"][0]["these_weeks"]) == (9, 9)
    cells = [cell for of in found.values() for row in of for cell in row.values()]
    assert not {"a", "of a"} & {cell for cell in cells if isinstance(cell, str)}
    assert "of b" in cells


def test_a_referral_tree_counts_what_a_customer_brings_once():
    """a brought b, b brought c; d invited b later, and has no order of his: nothing of b stands in two trees"""
    pairs = (("a", "b", 300), ("d", "b", 290), ("b", "c", 200), ("a", "nobody", 100))
    rows = {
        "customers": [{"customer_id": who, "created_at": -400} for who in "abcd"],
        "referrals": [{"advocate_id": of, "prospect_id": who, "invited_at": -at, "converted_at": 2 - at}
                      for of, who, at in pairs[:3]]
        + [{"advocate_id": "a", "prospect_id": "nobody", "invited_at": -100}],
        "transactions": [{"customer_id": who, "occurred_at": -at, "amount": 100, "gross_margin": margin,
                          "kind": "purchase"} for who, at, margin in (("b", 280, 40), ("c", 190, 30))],
        "advocacy_acts": [{"customer_id": "a", "occurred_at": -20, "kind": "social_share", "reach": 250}],
    }  # fmt: skip
    found = {row["customer_id"]: row for row in rows_of("referral_trees", rows)}
    assert list(found) == ["a", "b", "d"]
    a, b, d = found.values()
    assert (a["referrals"], a["converted"], a["customers"], a["customers_below"], a["depth"]) == (2, 1, 1, 1, 2)
    assert (a["margin"], a["margin_below"], a["reach"], a["brought_by"]) == (40.0, 30.0, 250, None)
    assert (b["margin"], b["margin_below"], b["brought_by"]) == (30.0, 0.0, "a")
    assert (d["customers"], d["margin"]) == (0, 0.0)
    assert sum(row["margin"] for row in found.values()) == 70.0, "what the customers brought, once"

"""Features against plain Python: loops over rows, written from what the features mean, not how they are computed."""

import itertools
import math
import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pandas as pd
import pyarrow.parquet as pq
import pytest

from vouch.features.contract.tables import DAY_US
from vouch.features.ingest.stage import open_tables
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.features.vectors.build import collect, vectors
from vouch.features.vectors.declare import load_families

INSTANTS = (LAST_INSTANT_US - 28 * DAY_US, LAST_INSTANT_US - 133 * DAY_US + 45_678_901_234)
FEATURES = load_families()
TABLES = ["customers", *sorted({declared.table for declared in FEATURES.values() if declared.table} - {"customers"})]
DATED = {
    "subscriptions": {"ended_us": ["cancel_reason", "is_voluntary"]},
    "sessions": {"ended_us": ["engaged_s"]},
    "surveys": {"responded_us": ["score", "verbatim", "polarity"]},
    "feedback": {"acted_on_us": [], "closed_us": []},
    "tickets": {
        "first_response_us": ["wait_s"],
        "resolved_us": ["csat", "final_channel", "contacts", "is_reopened"],
    },
    "social_posts": {"brand_reacted_us": []},
    "referrals": {"clicked_us": [], "signed_up_us": [], "converted_us": ["first_value"]},
    "asks": {"outcome_us": ["outcome"]},
    "loyalty_members": {"left_us": []},
}


def known_rows(name, rows, now):
    """Rows that are facts at an instant, written down from the contract."""
    newest = {}
    for place, row in enumerate(rows):
        key = row["_key"] or place
        if row["ingested_us"] < now and (key not in newest or row["ingested_us"] >= newest[key]["ingested_us"]):
            newest[key] = row
    for row in newest.values():
        if row["own_us"] < now and not row["is_deleted"]:
            seen = dict(row)
            for date, facts in DATED.get(name, {}).items():
                if seen[date] is not None and seen[date] >= now and not seen["is_stated"]:
                    seen |= dict.fromkeys([date, *facts])
                    if name == "surveys":
                        seen["status"] = "delivered"
            yield seen


@pytest.fixture(scope="module")
def rows(staged):
    from vouch.features.contract.tables import TABLES as CONTRACT

    found = {}
    for name in TABLES:
        listed = pq.read_table(staged.folder / f"{name}.parquet").to_pylist()
        for row in listed:
            row["_key"] = row[CONTRACT[name].key] if CONTRACT[name].key else None
        tied = {(row["_key"], row["ingested_us"]) for row in listed if row["superseded_us"] == row["ingested_us"]}
        found[name] = [r for r in listed if (r["_key"], r["ingested_us"]) not in tied or r["superseded_us"] is None]
    return found


class Life:
    """What is known of one customer: rows by table, and the instant."""

    def __init__(self, now):
        self.now = now
        self.rows = defaultdict(list)

    def of(self, table, days=None, before=0, **equal):
        """Rows of the last `days` (or the span `before` days earlier), with these values."""
        until = self.now - before * DAY_US
        start = -math.inf if days is None else until - days * DAY_US
        inside = [row for row in self.rows[table] if start <= row["own_us"] < until]
        return [row for row in inside if all(row[column] == value for column, value in equal.items())]

    def age(self, moments):
        """Days since the latest moment."""
        there = [moment for moment in moments if moment is not None]
        return (self.now - max(there)) / DAY_US if there else None


@pytest.fixture(scope="module", params=INSTANTS, ids=["at midnight", "inside a day"])
def lives(request, rows, staged):
    """By customer: what is known of it in plain rows, and its vector."""
    now = request.param
    by_customer = defaultdict(lambda: Life(now))
    internal = {row["customer_id"] for row in known_rows("customers", rows["customers"], now) if row["is_internal"]}
    for name, listed in rows.items():
        for row in known_rows(name, listed, now):
            if name == "customers" and row["referred_by"] in internal:
                row["referred_by"] = None
            if name == "referrals" and row["prospect_id"] in internal:
                continue
            by_customer[row["advocate_id" if name == "referrals" else "customer_id"]].rows[name].append(row)
    found = collect(vectors(open_tables(staged, "duckdb"), now)).set_index("customer_id")
    return [(by_customer[customer], vector) for customer, vector in found.to_dict("index").items()]


CHECKED = {}


def oracle(function):
    """Register the values that one function expects for features by their names."""
    CHECKED[function.__name__] = function
    return function


def mean(values):
    there = [float(value) for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def over(part, whole):
    return float(part) / float(whole) if whole else None


def log_ratio(now, before):
    return math.log((float(now) + 1) / (float(before) + 1))


def when(us):
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


def gaps(rows):
    days = sorted({when(row["own_us"]).date() for row in rows})
    return [(later - earlier).days for earlier, later in itertools.pairwise(days)]


@oracle
def profile(life):
    (person,) = life.rows["customers"]
    return {
        "tenure_days": (life.now - person["own_us"]) / DAY_US,
        "country": person["country"],
        "language": person["language"],
        "has_contact_consent": float(person["contact_consent"] is True),
        "has_advocacy_consent": float(person["advocacy_consent"] is True),
        "was_referred": float(person["referred_by"] is not None),
        "birth_year": person["birth_year"],
        "gender": person["gender"],
    }


@oracle
def usage(life):
    expected = {
        "days_since_usage": life.age(row["own_us"] for row in life.rows["usage_events"]),
        "usage_events_lifetime": len(life.rows["usage_events"]),
    }
    for days in (7, 28, 90, 365):
        events = life.of("usage_events", days)
        expected[f"usage_events_{days}d"] = len(events)
        expected[f"active_days_{days}d"] = len({when(row["own_us"]).date() for row in events})
        if days < 365:
            expected[f"usage_growth_{days}d"] = log_ratio(len(events), len(life.of("usage_events", days, days)))
    month, before, quarter = (life.of("usage_events", *span) for span in ((28,), (28, 28), (90,)))
    active, active_before = ({when(row["own_us"]).date() for row in of} for of in (month, before))
    users, users_before = ({row["user_id"] for row in of} - {None} for of in (month, before))
    inside = gaps_inside(life.rows["usage_events"], life.now - 90 * DAY_US)
    return expected | {
        "active_days_growth_28d": log_ratio(len(active), len(active_before)),
        "events_per_active_day_28d": over(len(month), len(active)),
        "usage_gap_mean_90d": mean(inside),
        "usage_gap_spread_90d": statistics.pstdev(inside) if inside else None,
        "usage_weekend_share_90d": over(sum(when(r["own_us"]).weekday() >= 5 for r in quarter), len(quarter)),
        "features_used_90d": len({row["feature"] for row in quarter} - {None}),
        "event_kinds_28d": len({row["event"] for row in month}),
        "users_28d": len(users),
        "users_growth_28d": log_ratio(len(users), len(users_before)),
        "usage_value_90d": sum(row["value"] or 0 for row in quarter),
        "usage_channels_90d": len({row["channel"] for row in quarter} - {None}),
        "usage_share_app_90d": over(
            sum(row["channel"] == "app" for row in quarter), sum(row["channel"] is not None for row in quarter)
        ),
        "community_events_90d": sum(row["channel"] == "community" for row in quarter),
    }


def gaps_inside(rows, start):
    """Days between days with a row, where the first row of the later day lies in the window."""
    first = {}
    for row in rows:
        day = when(row["own_us"]).date()
        first[day] = min(first.get(day, row["own_us"]), row["own_us"])
    days = sorted(first)
    return [(b - a).days for a, b in itertools.pairwise(days) if first[b] >= start]


@oracle
def sessions(life):
    visits, before = ([r for r in life.of("sessions", *span) if not r["is_bot"]] for span in ((28,), (28, 28)))
    quarter = [row for row in life.of("sessions", 90) if not row["is_bot"]]
    minutes = [minutes_of(row) for row in quarter]
    return {
        "sessions_28d": len(visits),
        "sessions_90d": len(quarter),
        "session_minutes_28d": math.fsum(m for m in map(minutes_of, visits) if m is not None),
        "minutes_per_session_90d": mean(minutes),
        "sessions_growth_28d": log_ratio(len(visits), len(before)),
        "events_per_session_90d": over(len(life.of("usage_events", 90)), len(quarter)),
        "days_since_activity": life.age(r["own_us"] for t in ("usage_events", "transactions") for r in life.rows[t]),
    }


def minutes_of(row):
    if row["engaged_s"] is not None:
        return float(row["engaged_s"]) / 60
    return None if row["ended_us"] is None else min((row["ended_us"] - row["own_us"]) / 60e6, 30.0)


def ordered(rows):
    return {row["order_id"] or row["transaction_id"] for row in rows if row["kind"] == "purchase"}


@oracle
def purchases(life):
    bought = life.of("transactions", kind="purchase")
    quarter, before, year = (life.of("transactions", *span) for span in ((90,), (90, 90), (365,)))
    value = {
        name: over(sum(r["amount"] for r in of if r["kind"] == "purchase"), len(ordered(of)))
        for name, of in (("now", quarter), ("before", before), ("year", year))
    }
    ratio = value["now"] / value["before"] if value["now"] is not None and value["before"] else None
    often = (
        len(ordered(quarter)) >= 1.2 * len(ordered(before)) and min(len(ordered(quarter)), len(ordered(before))) >= 3
    )
    between = gaps(bought)
    discounts = [row for row in year if row["kind"] == "purchase" and row["discount"] is not None]
    given = sum(row["discount"] for row in discounts)
    refunded = -sum(row["amount"] for row in year if row["kind"] == "refund")
    latest = life.age(row["own_us"] for row in bought)
    return {
        "has_ever_bought": float(bool(bought)),
        "orders_90d": len(ordered(quarter)),
        "orders_previous_90d": len(ordered(before)),
        "orders_lifetime": len(ordered(bought)),
        "spend_365d": sum(row["amount"] for row in year),
        "average_order_value_365d": value["year"],
        "days_since_order": latest,
        "days_since_transaction": life.age(row["own_us"] for row in life.rows["transactions"]),
        "order_gap_mean_lifetime": mean(between),
        "order_gap_spread_lifetime": statistics.pstdev(between) if between else None,
        "order_overdue_ratio": latest / mean(between) if between else None,
        "orders_growth_90d": log_ratio(len(ordered(quarter)), len(ordered(before))),
        "spend_growth_90d": log_ratio(*(sum(r["amount"] for r in of if r["amount"] > 0) for of in (quarter, before))),
        "order_value_ratio_90d": ratio,
        "is_trading_down": float(often and ratio is not None and ratio <= 0.9),
        "is_one_time_buyer": float(len(ordered(bought)) == 1),
        "refund_share_365d": over(refunded, sum(row["amount"] for row in year if row["kind"] != "refund")),
        "gross_margin_365d": sum(row["gross_margin"] or 0 for row in year),
        "discount_share_365d": over(given, given + sum(row["amount"] for row in discounts)),
        "products_bought_365d": len({r["product_id"] for r in year if r["kind"] == "purchase"} - {None}),
        "renewals_365d": sum(row["kind"] == "renewal" for row in year),
    }


@oracle
def subscription(life):
    ran_at_all = [row for row in life.rows["subscriptions"] if row["ended_us"] != row["own_us"]]
    all_of = sorted(ran_at_all, key=lambda row: (row["own_us"], row["subscription_id"]))
    runs = [row for row in all_of if row["ended_us"] is None or row["ended_us"] >= life.now]
    then = life.now - 90 * DAY_US
    ran = [row for row in all_of if row["own_us"] < then and (row["ended_us"] is None or row["ended_us"] >= then)]
    ended = [row for row in all_of if row["ended_us"] is not None and row["ended_us"] < life.now]
    pairs = list(itertools.pairwise(all_of))
    changes = [(old, new) for old, new in pairs if old["ended_us"] == new["own_us"]]
    announced = [row["ended_us"] for row in runs if row["ended_us"] is not None]
    stays = [row for row in runs if row["ended_us"] is None and row["billing_period"]]
    reasons = [row for row in all_of if row["cancel_reason"] is not None]
    newest = max((row["own_us"] for row in runs), default=None)
    years = [row for row in stays if row["billing_period"] == "year"]
    return {
        "is_subscribed": float(bool(runs)),
        "has_ever_subscribed": float(bool(all_of)),
        "is_leaving": float(bool(runs) and len(announced) == len(runs)),
        "announced_end_days": (min(announced) - life.now) / DAY_US if announced else None,
        "running_subscriptions": len(runs),
        "mrr": sum(row["mrr"] for row in runs),
        "mrr_change_90d": sum(row["mrr"] for row in runs) - sum(row["mrr"] for row in ran),
        "subscription_plan": max((r["plan"] for r in runs if r["own_us"] == newest), default=None),
        "days_to_renewal": min((until_renewal(row, life.now) for row in stays), default=None),
        "days_to_annual_renewal": min((until_renewal(row, life.now) for row in years), default=None),
        "contract_days": (life.now - min(row["own_us"] for row in runs)) / DAY_US if runs else None,
        "subscribed_days": sum(min(row["ended_us"] or life.now, life.now) - row["own_us"] for row in all_of) / DAY_US,
        "subscriptions_ended": len(ended),
        "subscriptions_ended_involuntarily": sum(row["is_voluntary"] is False for row in ended),
        "days_since_subscription_end": life.age(row["ended_us"] for row in ended),
        "cancel_reason": max(reasons, key=lambda r: (r["ended_us"], r["cancel_reason"]))["cancel_reason"]
        if reasons
        else None,
        "resumptions": sum(old["ended_us"] is not None and old["ended_us"] < new["own_us"] for old, new in pairs),
        "plan_upgrades": sum(new["mrr"] > old["mrr"] for old, new in changes),
        "plan_downgrades": sum(new["mrr"] < old["mrr"] for old, new in changes),
        "days_since_plan_change": life.age(new["own_us"] for old, new in changes if new["mrr"] != old["mrr"]),
    }


def until_renewal(row, now):
    days = 365.2425 if row["billing_period"] == "year" else 365.2425 / 12
    elapsed = (now - row["own_us"]) / DAY_US
    return math.ceil(elapsed / days) * days - elapsed


def answers(life, *instruments, days=None):
    """Answers that count, oldest first."""
    given = [r for r in life.of("surveys", days) if r["instrument"] in instruments and counts(r)]
    return sorted(given, key=lambda row: (row["responded_us"] or row["own_us"], row["response_id"]))


def counts(row):
    if row["status"] != "answered" or row["score"] is None:
        return False
    relational = row["touchpoint"] in (None, "relational")
    return row["instrument"] != "nps" or (relational and (row["scale_min"], row["scale_max"]) == (0, 10))


def scaled(row):
    low, high, score = (float(row[column]) for column in ("scale_min", "scale_max", "score"))
    share = (high - score if row["instrument"] == "ces1" else score - low) / (high - low)
    return millionths(share)


def millionths(share):
    """Shares of a scale are kept in whole millionths."""
    return math.floor(share * 1_000_000 + 1e-6) / 1_000_000


@oracle
def satisfaction(life):
    nps, csat = answers(life, "nps"), answers(life, "csat")
    year = life.of("surveys", 365)
    answered = [row for row in life.rows["surveys"] if row["status"] == "answered" and row["score"] is not None]
    perceived, expected = (mean(map(scaled, answers(life, kind, days=365))) for kind in ("perception", "expectation"))
    tones = [row for row in life.rows["surveys"] if row["polarity"] is not None]
    newest = max((row["own_us"] for row in tones), default=None)
    remarks = life.of("feedback", 365)
    judged = [row["polarity"] for row in remarks if row["polarity"] is not None]
    rated = [(float(r["rating"]) - 1, float(r["rating_max"]) - 1) for r in remarks if r["rating"] is not None]
    open_remarks = [r for r in life.of("feedback", 90) if r["acted_on_us"] is None and r["closed_us"] is None]
    return {
        "nps_last": nps[-1]["score"] if nps else None,
        "nps_change": nps[-1]["score"] - nps[-2]["score"] if len(nps) > 1 else None,
        "is_promoter": float(nps[-1]["score"] >= 9) if nps else None,
        "is_detractor": float(nps[-1]["score"] <= 6) if nps else None,
        "days_since_nps": life.age(row["responded_us"] or row["own_us"] for row in nps),
        "csat_last": scaled(csat[-1]) if csat else None,
        "csat_mean_365d": mean(map(scaled, answers(life, "csat", days=365))),
        "ces_mean_365d": mean(map(scaled, answers(life, "ces", "ces1", days=365))),
        "expectation_gap_365d": None if None in (perceived, expected) else perceived - expected,
        "survey_invitations_365d": len(year),
        "survey_answered_share_365d": over(sum(row in answered for row in year), len(year)),
        "survey_dismissed_share_365d": over(sum(row["status"] == "dismissed" for row in year), len(year)),
        "survey_polarity_mean_365d": mean(r["polarity"] / 100 for r in year if r["polarity"] is not None),
        "survey_polarity_last": max((r["polarity"] / 100 for r in tones if r["own_us"] == newest), default=None),
        "feedback_remarks_365d": len(remarks),
        "rating_mean_365d": mean(millionths(above / span) for above, span in rated),
        "feedback_polarity_mean_365d": mean(tone / 100 for tone in judged),
        "feedback_negative_share_365d": over(sum(tone <= -20 for tone in judged), len(judged)),
        "feedback_unanswered_90d": len(open_remarks),
    }


@oracle
def support(life):
    is_open = [r for r in life.rows["tickets"] if r["resolved_us"] is None or r["resolved_us"] >= life.now]
    year, quarter = life.of("tickets", 365), life.of("tickets", 90)
    solved = [row["resolved_us"] - row["own_us"] for row in year if row not in is_open]
    both = [row for row in year if row["first_channel"] is not None and row["final_channel"] is not None]
    rated = sorted((r for r in life.rows["tickets"] if r["csat"] is not None), key=lambda r: (r["own_us"], r["csat"]))
    return {
        "tickets_365d": len(year),
        "tickets_open": len(is_open),
        "oldest_open_ticket_days": max(((life.now - r["own_us"]) / DAY_US for r in is_open), default=None),
        "tickets_growth_28d": log_ratio(len(life.of("tickets", 28)), len(life.of("tickets", 28, 28))),
        "ticket_wait_minutes_90d": mean(r["wait_s"] / 60 for r in quarter if r["wait_s"] is not None),
        "resolution_hours_365d": mean(us / 3.6e9 for us in solved),
        "ticket_reopened_share_365d": mean(r["is_reopened"] for r in year),
        "contacts_per_ticket_365d": mean(r["contacts"] for r in year),
        "ticket_channel_change_share_365d": mean(r["first_channel"] != r["final_channel"] for r in both),
        "tickets_urgent_90d": sum(
            (r["priority"] or "").lower() in {"high", "urgent", "critical", "blocker", "p0", "p1", "p2"}
            for r in quarter
        ),
        "ticket_csat_last": rated[-1]["csat"] if rated else None,
    }


@oracle
def community(life):
    about = [row for row in life.of("social_posts", 365) if row["is_brand_mention"]]
    return {
        "brand_mentions_365d": len(about),
        "brand_mention_reach_365d": sum(row["reach"] or 0 for row in about),
        "brand_mention_engagement_365d": sum(row[c] or 0 for row in about for c in ("likes", "shares", "comments")),
        "brand_reaction_share_365d": mean(row["brand_reacted_us"] is not None for row in about),
        "social_polarity_mean_365d": mean(r["polarity"] / 100 for r in about if r["polarity"] is not None),
        "community_answers_365d": len(life.of("advocacy_acts", 365, kind="community_answer")),
        "days_since_community_event": life.age(r["own_us"] for r in life.of("usage_events", channel="community")),
    }


@oracle
def advocacy(life):
    acts, year = life.rows["advocacy_acts"], life.of("advocacy_acts", 365)
    organic = [row for row in acts if not row["is_incentivised"] and row["ask_id"] is None]
    valid = [r for r in life.rows["referrals"] if r["prospect_id"] != r["advocate_id"] and not r["is_fraud"]]
    ordered = sorted(valid, key=lambda row: (row["own_us"], row["referral_id"]))
    first = {row["prospect_id"]: row for row in reversed(ordered)}.values()
    worth = {row["prospect_id"]: row["first_value"] for row in reversed(ordered) if row["first_value"] is not None}
    became = {row["prospect_id"] for row in valid if row["converted_us"] is not None}
    asks, touches = life.rows["asks"], life.of("touches", 90)
    refused = [row["outcome_us"] or row["own_us"] for row in asks if row["outcome"] == "declined"]
    decided = [row for row in asks if row["outcome"] is not None]
    return {
        "advocacy_acts_lifetime": len(acts),
        "organic_acts_lifetime": len(organic),
        "organic_acts_90d": sum(row["own_us"] >= life.now - 90 * DAY_US for row in organic),
        "prompted_acts_365d": sum(row["ask_id"] is not None and not row["is_incentivised"] for row in year),
        "incentivised_acts_365d": sum(row["is_incentivised"] is True for row in year),
        "acts_review_365d": sum(row["kind"] == "review" for row in year),
        "act_kinds_lifetime": len({row["kind"] for row in acts}),
        "days_since_organic_act": life.age(row["own_us"] for row in organic),
        "referrals_lifetime": len(first),
        "referrals_365d": sum(row["own_us"] >= life.now - 365 * DAY_US for row in first),
        "organic_referrals_365d": sum(
            row["own_us"] >= life.now - 365 * DAY_US and not row["is_incentivised"] for row in first
        ),
        "days_since_referral": life.age(row["own_us"] for row in first),
        "referrals_invalid": len(life.rows["referrals"]) - len(valid),
        "referrals_converted_lifetime": len(became),
        "referral_conversion_share": over(len(became), len({row["prospect_id"] for row in valid})),
        "referral_value": sum(worth.values()),
        "days_since_referral_conversion": life.age(row["converted_us"] for row in valid),
        "asks_365d": len(life.of("asks", 365)),
        "asks_with_outcome_accepted": sum(row["outcome"] == "accepted" for row in asks),
        "ask_acceptance_share": mean(row["outcome"] == "accepted" for row in decided),
        "asks_open": len(asks) - len(decided),
        "days_since_refusal": life.age(refused),
        "touches_service_90d": sum(row["kind"] == "service" for row in touches),
        "touches_accepted_share_365d": mean(
            row["is_accepted"] for row in life.of("touches", 365) if row["is_accepted"] is not None
        ),
        "campaigns_treated_365d": len({row["campaign"] for row in life.of("treatments", 365, arm="treated")}),
        "recognitions_365d": len(life.of("recognitions", 365)),
    }


@oracle
def loyalty(life):
    members = life.rows["loyalty_members"]
    stays = [row for row in members if row["left_us"] is None or row["left_us"] >= life.now]
    sign = {"redeem": -1, "expire": -1}
    points = {kind: sum(r["points"] for r in life.of("loyalty_ledger", kind=kind)) for kind in ("earn", "redeem")}
    quarters = [sum(r["points"] for r in life.of("loyalty_ledger", 90, b, kind="earn")) for b in (0, 90)]
    return {
        "is_loyalty_member": float(bool(stays)),
        "has_left_loyalty": float(len(stays) < len(members)),
        "loyalty_tier": stays[0]["tier"] if stays else None,
        "loyalty_days": (life.now - stays[0]["own_us"]) / DAY_US if stays else None,
        "points_earned_90d": quarters[0],
        "points_earned_growth_90d": log_ratio(*quarters),
        "points_balance": sum(r["points"] * sign.get(r["kind"], 1) for r in life.rows["loyalty_ledger"]),
        "points_redeemed_share": over(points["redeem"], points["earn"]),
        "days_since_points_redeem": life.age(r["own_us"] for r in life.of("loyalty_ledger", kind="redeem")),
    }


@pytest.mark.parametrize("family", CHECKED)
def test_features_equal_what_plain_python_gives(lives, family):
    said = set()
    for life, vector in lives:
        for name, expected in CHECKED[family](life).items():
            found = vector[name]
            if expected is None:
                assert pd.isna(found), f"{name}: {found}, not null"
                continue
            said.add(name)
            is_right = (
                found == expected
                if isinstance(expected, str)
                else math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
            )
            assert is_right, f"{name}: {found}, not {expected}"
    assert said, family


def test_enough_features_are_checked(lives):
    life, _ = lives[0]
    names = {name for function in CHECKED.values() for name in function(life)}
    assert names <= set(FEATURES)
    assert len(names) >= 150

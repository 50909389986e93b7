"""Metrics on public data, end to end, against the figure of the source or a query by hand; `pytest -s` prints both."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from vouch.features.ingest.stage import open_tables, stage
from vouch.features.metrics.comparisons.change import metric_changes
from vouch.features.metrics.evaluate import measure
from vouch.features.project import load_project

MAPS = Path(__file__).parents[3] / "notebooks" / "datasets"
SURVEYED = datetime(2024, 1, 1, tzinfo=UTC)


def us(at: datetime) -> int:
    return round(at.timestamp() * 1e6)


def tables_of(path, monkeypatch, home):
    monkeypatch.setenv("VOUCH_HOME", str(home))
    return open_tables(stage(load_project(str(path)), us(datetime(2026, 1, 1, tzinfo=UTC))), "polars")


@pytest.fixture
def surveyed(tmp_path, monkeypatch, datasets):
    """A function that makes a company of answers to one survey, from a query for `customer_id`, `score` and more."""

    def make(file, query, instrument="nps", low=0, high=10, touchpoint="null", when="timestamp '2023-12-20'"):
        path = tmp_path / "vouch.toml"
        path.write_text(f'''
[source]
answers = "{datasets / file}"
[tables.customers]
query = """select customer_id, min(asked) as created_at, min(segment) as segment from (
  select *, {when} as asked from ({query})) group by 1"""
[tables.usage_events]
query = """select customer_id, ({when})::timestamp - interval (days) day as occurred_at, 'answer' as event
  from ({query}), (values (0), (400)) as known(days)"""
[tables.surveys]
query = """select row_number() over () as response_id, customer_id, '{instrument}' as instrument, {low} as scale_min,
  {high} as scale_max, score, 'answered' as status, {touchpoint} as touchpoint, {when} as invited_at from ({query})"""
''')
        return tables_of(path, monkeypatch, tmp_path / "home")

    return make


@pytest.fixture
def mapped(tmp_path, monkeypatch, datasets):
    """A function that stages one of the public data sets that a project file maps."""
    monkeypatch.setenv("VOUCH_DATASETS", str(datasets))
    return lambda name: tables_of(MAPS / name / "vouch.toml", monkeypatch, tmp_path / "home")


def tell(data, found, expected, source, **close):
    print(f"{data:24} {found.metric_id:24} {found.value:12.4f} [{found.ci_low}, {found.ci_high}] n {found.n}; "
          f"{source}: {expected:.4f}")  # fmt: skip
    assert found.value == pytest.approx(expected, **(close or {"rel": 1e-6}))


def by_hand(datasets, query):
    return duckdb.sql(query.replace("DATA", str(datasets))).fetchall()[0]


RATING = '"On a scale of 0-10, how would you rate Sudzilla?"'
SAAS = """select cast(id as varchar) as customer_id, score, if(is_admin = 1, 'admin', 'other') as segment, surveyed_at
from answers"""


def test_sudzilla_has_the_published_nps(surveyed):
    query = (
        f"select cast(row_number() over () as varchar) as customer_id, {RATING} as score, null as segment from answers"
    )
    path = "nps_preppin/sudzilla_event_survey_1.csv"
    (found,) = measure(surveyed(path, query.replace('"', '"')), us(SURVEYED), ["nps"])
    tell("Sudzilla", found, -35.9, "published", abs=0.05)
    assert found.n == 39


def test_prep_air_has_the_published_nps(surveyed):
    query = "select CustomerID as customer_id, #3 as score, Airline as segment from answers where Airline = 'Prep Air'"
    query = query.replace("#3", "COLUMNS('How likely.*')")
    (found,) = measure(surveyed("nps_preppin/airline_nps_2.csv", query), us(SURVEYED), ["nps"])
    tell("Prep Air", found, 21.2, "published, unrounded", abs=0.05)


def test_saas_scores_by_segment_are_those_of_the_catalogue(surveyed):
    tables = surveyed("nps_saas_usage/nps_survey.csv", SAAS)
    (whole,) = measure(tables, us(SURVEYED), ["nps"])
    tell("SaaS", whole, 10.9, "catalogue", abs=0.05)
    parts = {e.segment: e for e in measure(tables, us(SURVEYED), ["nps"], "segment")}
    tell("SaaS, admins", parts["admin"], 38.4, "catalogue", abs=0.05)
    tell("SaaS, others", parts["other"], -4.2, "catalogue", abs=0.05)


def test_saas_falls_as_a_whole_while_both_segments_rise_and_the_mix_says_why(surveyed):
    ends = "surveyed_at < '2017-03' or surveyed_at >= '2018-08'"
    tables = surveyed("nps_saas_usage/nps_survey.csv", f"{SAAS} where {ends}", when="surveyed_at")
    before, now = us(datetime(2017, 3, 1, tzinfo=UTC)), us(datetime(2018, 9, 1, tzinfo=UTC))
    (whole,) = metric_changes(tables, before, now, ["nps"])
    assert (whole.value_before, whole.value) == pytest.approx((13.0, 10.0))
    parts = {row.segment: row for row in metric_changes(tables, before, now, ["nps"], "segment")}
    for name, (first, second) in {"admin": (34.8, 42.0), "other": (-8.8, -2.2)}.items():
        assert (parts[name].value_before, parts[name].value) == pytest.approx((first, second), abs=0.05)
    own, mix = (sum(getattr(row, f"contribution_{part}") for row in parts.values()) for part in ("own", "mix"))
    print(f"SaaS: change {whole.difference:.2f} = own {own:.2f} + mix {mix:.2f}, p {whole.p:.3f}")
    assert own > 0 > mix
    assert own + mix == pytest.approx(-3.0)


def test_call_centre_satisfaction_is_that_of_the_catalogue(surveyed):
    query = """select "Call Id" as customer_id, "Satisfaction rating" as score, "Agent" as segment
from answers where "Satisfaction rating" is not null"""
    tables = surveyed("pwc_callcentre_csat/call_center.csv", query, "csat", 1, 5, "'call'")
    (found,) = measure(tables, us(SURVEYED), ["csat"])
    tell("call centre", found, 49.9, "catalogue", abs=0.05)
    assert found.n == 4054


def test_telco_satisfaction_is_that_of_the_catalogue(surveyed):
    query = """select "Customer ID" as customer_id, "Satisfaction Score" as score, null as segment from answers"""
    tables = surveyed("telco_ibm_v11/Telco_customer_churn_status.csv", query, "csat", 1, 5, "'quarter'")
    (found,) = measure(tables, us(SURVEYED), ["csat"])
    tell("telco", found, 41.7, "catalogue", abs=0.05)


def test_online_retail_buys_again_as_often_as_counted_by_hand(mapped, datasets):
    tables, at = mapped("online_retail_uci"), datetime(2011, 12, 5, tzinfo=UTC)
    (found,) = measure(tables, us(at), ["repeat_purchase_rate"])
    query = """
        with o as (select CustomerID c, count(distinct InvoiceNo) n from 'DATA/online_retail_uci/online_retail.parquet'
          where CustomerID is not null and not isnan(CustomerID) and InvoiceNo not like 'C%' and InvoiceNo not like 'A%'
          and Quantity * UnitPrice > 0
          and InvoiceDate >= {0} and InvoiceDate < {1} group by 1) select 100.0 * avg((n > 1)::int), count(*) from o"""
    share, n = by_hand(datasets, query.format("timestamp '2010-12-05'", "timestamp '2011-12-05'"))
    tell("online retail", found, share, "by hand")
    assert found.n == n
    published, _ = by_hand(datasets, query.format("timestamp '1970-01-01'", "timestamp '2030-01-01'"))
    assert published == pytest.approx(65.6, abs=0.1)  # the same query without a window is the catalogue's figure


def test_airline_members_stay_as_often_as_counted_by_hand(mapped, datasets):
    tables, at = mapped("airline_loyalty"), datetime(2018, 7, 2, tzinfo=UTC)
    found = {e.metric_id: e for e in measure(tables, us(at), ["retention_rate", "churn_rate", "loyalty_enrolment"])}
    members = """
        with m as (select make_date("Enrollment Year"::int, "Enrollment Month"::int, 1) a,
          make_date("Cancellation Year"::int, "Cancellation Month"::int, 1) + interval 1 month b
          from 'DATA/airline_loyalty/customer_loyalty_history.csv')"""
    kept, n = by_hand(datasets, members + """
        select 100.0 * avg((b is null or b >= timestamp '2018-07-02')::int), count(*) from m
        where a < timestamp '2018-06-04' and (b is null or b >= timestamp '2018-06-04')""")  # fmt: skip
    tell("airline", found["retention_rate"], kept, "by hand")
    assert found["retention_rate"].n == n
    cancelled, everybody = by_hand(datasets, members + "select count(b), count(*) from m")
    assert (cancelled, everybody) == (2067, 16_737)
    (left,) = measure(tables, us(datetime(2019, 3, 4, tzinfo=UTC)), ["median_lifetime"])
    print(f"airline: {left.n} stays, status {left.status}: {left.reason}")
    assert left.n == everybody


def test_airline_points_are_redeemed_as_counted_by_hand(mapped, datasets):
    tables, at = mapped("airline_loyalty"), datetime(2018, 12, 31, tzinfo=UTC)
    found = {e.metric_id: e for e in measure(tables, us(at), ["redemption_rate_period", "loyalty_active"])}
    months = """
        with m as (select "Loyalty Number" c, last_day(make_date("Year", "Month", 1)) d,
          sum("Points Accumulated") earned, sum("Points Redeemed") redeemed
          from 'DATA/airline_loyalty/customer_flight_activity.parquet' group by all)"""
    (share,) = by_hand(
        datasets,
        months
        + """
        select 100.0 * sum(redeemed) / sum(earned) from m where d >= date '2018-10-02' and d < date '2018-12-31'""",
    )
    tell("airline", found["redemption_rate_period"], share, "by hand")
    (active,) = by_hand(datasets, months + """, p as (
          select "Loyalty Number" c,
            make_date("Cancellation Year"::int, "Cancellation Month"::int, 1) + interval 1 month b
          from 'DATA/airline_loyalty/customer_loyalty_history.csv')
        select 100.0 * count(distinct m.c) / (select count(*) from p where b is null or b >= timestamp '2018-12-31')
        from m join p on p.c = m.c where (earned > 0 or redeemed > 0)
          and d >= date '2018-10-02' and d < date '2018-12-31'
          and (b is null or b >= timestamp '2018-12-31')""")  # fmt: skip
    tell("airline", found["loyalty_active"], active, "by hand")
    earned, redeemed = by_hand(datasets, months + "select sum(earned), sum(redeemed) from m")
    assert (earned, redeemed) == pytest.approx((50_172_736.25, 12_451_388), abs=0.01)


def test_coupons_of_the_complete_journey_are_redeemed_as_counted_by_hand(mapped, datasets):
    tables = mapped("complete_journey")
    (found,) = measure(tables, us(datetime(2018, 1, 1, tzinfo=UTC)), ["redemption_rate"])
    start, end = (f"timestamp '2018-01-01' - interval {days} day" for days in (272, 182))
    share, lots = by_hand(datasets, f"""
        with h as (select campaign_id, count(distinct coupon_upc) n
          from 'DATA/complete_journey/coupons.parquet' group by 1),
        d as (select * from 'DATA/complete_journey/campaign_descriptions.parquet'),
        l as (select c.campaign_id, c.household_id, d.start_date s,
              case when d.campaign_type = 'Type A' then least(16, h.n) else h.n end points
              from 'DATA/complete_journey/campaigns.parquet' c join d using (campaign_id) join h using (campaign_id)
              where s >= {start} and s < {end}),
        r as (select campaign_id, household_id, redemption_date from 'DATA/complete_journey/coupon_redemptions.parquet')
        select 100.0 * (select count(*) from r join l using (campaign_id, household_id)
            where redemption_date <= s + interval 182 day) / sum(points), count(*) from l""")  # fmt: skip
    tell("complete journey", found, share, "by hand")
    total, households = by_hand(
        datasets,
        """
        select count(*), count(distinct household_id) from 'DATA/complete_journey/coupon_redemptions.parquet'""",
    )
    assert (total, households) == (2102, 410)
    assert 0 < found.n <= lots


def test_net_sentiment_of_olist_is_that_of_its_stars(mapped, datasets):
    at = datetime(2018, 8, 6, tzinfo=UTC)
    (found,) = measure(mapped("olist_sample"), us(at), ["net_sentiment"])
    (expected,) = by_hand(datasets, """
        select 100.0 * (avg((review_score >= 4)::int) - avg((review_score <= 2)::int))
        from 'DATA/olist_sample/olist_order_reviews_dataset.csv'
        where review_answer_timestamp >= timestamp '2018-08-06' - interval 90 day
          and review_answer_timestamp < timestamp '2018-08-06'""")  # fmt: skip
    tell("Olist, from stars", found, expected, "by hand")


def test_net_sentiment_of_tweets_is_near_that_of_people(tmp_path, monkeypatch, datasets):
    file = datasets / "vader_groundtruth" / "tweets_GroundTruth.txt"
    read = f"read_csv('{file}', delim='\t', header=false, quote='', names=['id', 'valence', 'text'])"
    clean = tmp_path / "tweets.parquet"
    duckdb.sql(f"copy (select * from {read}) to '{clean}' (format parquet)")
    (tmp_path / "vouch.toml").write_text(f'''
[source]
tweets = "{clean}"
[tables.customers]
query = "select distinct cast(id as varchar) as customer_id, timestamp '2023-12-01' as created_at from tweets"
[tables.usage_events]
query = """select cast(id as varchar) as customer_id, day as occurred_at, 'tweet' as event
  from tweets, (values (timestamp '2023-12-20'), (timestamp '2022-12-01')) as known(day)"""
[tables.feedback]
query = """select cast(id as varchar) as feedback_id, cast(id as varchar) as customer_id, 'social' as source,
  timestamp '2023-12-20' as occurred_at, text from tweets"""
''')
    tables = tables_of(tmp_path / "vouch.toml", monkeypatch, tmp_path / "home")
    (found,) = measure(tables, us(SURVEYED), ["net_sentiment"])
    (people,) = duckdb.sql(f"""select 100.0 * (avg((valence / 4 >= 0.2)::int) - avg((valence / 4 <= -0.2)::int))
        from '{clean}'""").fetchall()[0]  # fmt: skip
    tell("tweets, by lexicon", found, people, "20 people's mean valence", abs=10)

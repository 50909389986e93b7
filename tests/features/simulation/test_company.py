"""What the simulated company promises: the whole contract, known truth, and the defects of real tables."""

import hashlib
import json

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vouch.features.contract.tables import ACT_KINDS, ITEMS, TABLES
from vouch.features.errors import UsageError
from vouch.features.ingest.files import folder_sources
from vouch.features.ingest.stage import open_tables
from vouch.features.instants import WEEK_US
from vouch.features.metrics.catalogue import load_metrics
from vouch.features.metrics.evaluate import measure
from vouch.features.simulation.company import PARAMETERS, VERSION, simulate
from vouch.features.simulation.parameters import LAST_INSTANT_US
from vouch.features.simulation.texts import WORDS

CUSTOMERS, WEEKS, DAY_US = 900, 40, 86_400_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("company"), customers=CUSTOMERS, weeks=WEEKS, seed=7)


@pytest.fixture(scope="module")
def query(folder):
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    for name in TABLES:
        connection.execute(f"create view {name} as select * from read_parquet('{folder}/{name}.parquet')")
    for name in ("weekly", "asks"):
        connection.execute(f"create view true_{name} as select * from read_parquet('{folder}/truth/{name}.parquet')")
    yield lambda text: connection.sql(text).to_arrow_table().to_pandas()
    connection.close()


@pytest.fixture(scope="module")
def count(query):
    return lambda text: int(query(text).iloc[0, 0])


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.*"))
    }


@pytest.mark.parametrize("name", TABLES)
def test_every_table_of_the_contract_is_written_with_its_columns_and_rows(folder, name):
    file = pq.ParquetFile(folder / f"{name}.parquet")
    assert file.schema_arrow.names == list(TABLES[name].columns)
    assert file.metadata.num_rows > 0
    for column in TABLES[name].columns.values():
        kind = file.schema_arrow.field(column.name).type
        assert (column.kind == "time") == (kind == pa.timestamp("us", tz="UTC")), column.name


def test_nothing_of_the_truth_is_read_or_missed(folder):
    found, unread = folder_sources(folder, TABLES)
    assert found.keys() == TABLES.keys()
    assert unread == []
    assert (folder / "truth").is_dir()


@pytest.mark.parametrize("name", TABLES)
def test_required_columns_are_filled_and_values_are_the_contracts(query, name):
    rows = query(f"select * from {name}")
    for column in TABLES[name].columns.values():
        values = rows[column.name]
        if column.is_required and column.name != "event_id":
            assert values.notna().all(), column.name
        if column.values:
            assert set(values.dropna()) <= set(column.values), column.name
        if column.minimum is not None:
            assert not (values < column.minimum).any(), column.name
        if column.maximum is not None:
            assert not (values > column.maximum).any(), column.name


@pytest.mark.parametrize("name", [name for name, table in TABLES.items() if table.later])
def test_no_later_fact_comes_before_its_row_nor_its_row_before_it_is_told(query, name):
    own = "coalesce(invited_at, responded_at)" if name == "surveys" else TABLES[name].clock[0]
    for date in TABLES[name].later:
        assert query(f"select count(*) from {name} where {date} < {own}").iloc[0, 0] == 0, date
        if name != "subscriptions":
            assert query(f"select count(*) from {name} where ingested_at < {date}").iloc[0, 0] == 0, date


def test_nothing_lies_after_the_last_instant_but_announced_ends_and_what_is_agreed_for_later(query):
    agreed = {"expires_at", "renewal_at"}
    end = f"make_timestamptz({LAST_INSTANT_US})"
    for name, table in TABLES.items():
        for column in table.columns.values():
            if (
                column.kind != "time"
                or column.name in agreed
                or (table.name in {"costs", "capex", "licences"} and column.name == "ended_at")
            ):
                continue
            later = query(f"select count(*) n, count(ingested_at) told from {name} where {column.name} >= {end}")
            assert later["n"][0] == (later["told"][0] if (name, column.name) == ("subscriptions", "ended_at") else 0)


def test_people_accounts_and_owners_are_named_and_plainly_made_up(query, count):
    rows = query("select * from customers")
    assert rows["name"].notna().all()
    assert rows["account_name"].notna().equals(rows["account_id"].notna())
    assert rows["account_name"].dropna().str.contains("Example").all()
    assert set(rows["crm_url"]) == {"https://crm.example/customers/{customer_id}"}
    assert rows.loc[rows["account_id"].notna(), "owner"].str.endswith(" Demo").all()
    of_one = (
        "select count(distinct account_name) names, count(distinct owner) owners from customers group by account_id"
    )
    assert count(f"select greatest(max(names), max(owners)) from ({of_one})") == 1
    assert query("select count(distinct account_name) = count(distinct account_id) same from customers")["same"][0]


def test_an_annual_contract_that_goes_on_tells_when_it_renews(query):
    end = f"make_timestamptz({LAST_INSTANT_US})"
    annual = query(f"select ended_at, renewal_at >= {end} and renewal_at < {end} + interval 365 day as soon "
                   "from subscriptions where billing_period = 'year'")  # fmt: skip
    assert annual.loc[annual["ended_at"].isna(), "soon"].all()
    assert query("select count(renewal_at) n from subscriptions where billing_period = 'month'")["n"][0] == 0


def test_the_newest_event_is_less_than_a_day_before_the_last_monday(count):
    newest = count("select epoch_us(max(occurred_at)) from usage_events")
    assert 0 < LAST_INSTANT_US - newest < DAY_US
    assert (LAST_INSTANT_US // DAY_US + 3) % 7 == 0  # 1970-01-01 was a Thursday


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    first, again, other = (
        digests(simulate(tmp_path / name, customers=80, weeks=9, seed=seed))
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again
    assert first["usage_events.parquet"] != other["usage_events.parquet"]
    assert len(first) == len(TABLES) + 6


def test_a_company_too_small_is_refused(tmp_path):
    with pytest.raises(UsageError, match="too small"):
        simulate(tmp_path, customers=3, weeks=2)


def test_the_constants_stand_beside_the_truth(folder):
    kept = json.loads((folder / "truth" / "parameters.json").read_text())
    assert (kept["version"], kept["customers"], kept["weeks"], kept["seed"]) == (VERSION, CUSTOMERS, WEEKS, 7)
    assert kept["churn"]["base"] == PARAMETERS.churn.base


# ---- truth -----------------------------------------------------------------------------------------------------------


def churned(query, at_us):
    """Whether the last subscription that ran at an instant ended within 28 days and none began within 14 of the end."""
    rows = query(
        "select subscription_id, customer_id, epoch_us(started_at) s, max(epoch_us(ended_at)) e from subscriptions "
        "group by all"
    )
    rows["e"] = rows["e"].fillna(2**62).astype("int64")
    running = rows[(rows["s"] < at_us) & (rows["e"] >= at_us)].groupby("customer_id")["e"].max()
    ended = running[running < at_us + 28 * DAY_US]
    later = rows[rows["s"] >= at_us].merge(ended.rename("end"), left_on="customer_id", right_index=True)
    back = later[(later["s"] >= later["end"]) & (later["s"] < later["end"] + 14 * DAY_US)]["customer_id"]
    return set(ended.index) - set(back)


def advocates(query, at_us):
    """Who acts organically, or refers validly without reward, in the 90 days from an instant."""
    acts = query(
        "select customer_id c, epoch_us(occurred_at) t from advocacy_acts "
        "where ask_id is null and is_incentivised is not true union all "
        "select advocate_id, min(epoch_us(invited_at)) from referrals where advocate_id <> prospect_id "
        "and is_incentivised is not true and is_fraud is not true group by advocate_id, prospect_id"
    )
    return set(acts[(acts["t"] >= at_us) & (acts["t"] < at_us + 90 * DAY_US)]["c"])


def paired(query, column, weeks, outcome):
    """True probabilities at some Mondays, and what came."""
    parts = []
    for week in weeks:
        at_us = LAST_INSTANT_US - (WEEKS - week) * WEEK_US
        true = query(
            f"select customer_id, {column} p from true_weekly where as_of_us = {at_us} and {column} is not null"
        )
        came = outcome(query, at_us)
        parts.append(pd.DataFrame({"p": true["p"], "y": true["customer_id"].isin(came).astype(float)}))
    return pd.concat(parts)


@pytest.mark.parametrize(
    ("column", "weeks", "outcome"),
    [("churn_28d", range(1, 35, 4), churned), ("advocacy_90d", (1, 14, 27), advocates)],
)
def test_true_probabilities_come_true(query, column, weeks, outcome):
    rows = paired(query, column, weeks, outcome).sort_values("p")
    assert rows["p"].between(0, 1).all()
    assert rows["y"].sum() > 60
    cumulated = rows["p"].cumsum() / rows["p"].sum()
    for low, high in ((0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1.01)):  # three parts in which equally many are expected
        part = rows[(cumulated > low) & (cumulated <= high)]
        deviation = part["y"].sum() - part["p"].sum()
        assert abs(deviation) <= 3.5 * np.sqrt((part["p"] * (1 - part["p"])).sum())


def test_true_probabilities_are_there_for_every_monday_and_every_external_customer(query, count):
    weekly = query("select as_of_us, count(*) n, count(distinct customer_id) k from true_weekly group by 1 order by 1")
    assert weekly["as_of_us"].tolist() == [LAST_INSTANT_US - week * WEEK_US for week in range(WEEKS, -1, -1)]
    assert (weekly["n"] == weekly["k"]).all()
    outside = count("select count(distinct customer_id) from customers where not is_internal")
    assert weekly["n"].iloc[-1] == outside
    assert count("select count(*) from true_weekly where churn_28d is not null and not is_running") == 0


def test_asking_helps_some_and_not_others(query):
    lift = query("select act_if_asked - act_if_not_asked lift from true_asks")["lift"]
    assert lift.quantile(0.9) > 0.2
    assert lift.quantile(0.1) < 0.1


def test_silence_in_surveys_is_informative(query):
    rows = query(
        "select s.status, t.engagement e from surveys s join true_weekly t on s.customer_id = t.customer_id "
        "and t.as_of_us <= epoch_us(s.invited_at) and t.as_of_us > epoch_us(s.invited_at) - 604800000000 "
        "where s.instrument = 'nps'"
    )
    assert rows[rows["status"] == "answered"]["e"].mean() > rows[rows["status"] == "delivered"]["e"].mean() + 0.1


# ---- traits ----------------------------------------------------------------------------------------------------------

TRAITS = {
    "late rows": "select count(*) from usage_events where ingested_at > occurred_at + interval 1 day",
    "corrections": "select count(*) from (select event_id from usage_events where event_id is not null "
    "group by 1 having count(distinct value) > 1 and count(distinct coalesce(ingested_at, occurred_at)) > 1)",
    "corrections that move a row in time": "select count(*) from (select event_id from usage_events "
    "where event_id is not null group by 1 having count(distinct occurred_at) > 1)",
    "versions that tie": "select count(*) from (select event_id, ingested_at from usage_events "
    "where event_id is not null and ingested_at is not null group by 1, 2 having count(distinct value) > 1)",
    "withdrawals": "select count(*) from usage_events where is_deleted",
    "exact duplicates": "select count(*) - (select count(*) from (select distinct * from usage_events "
    "where event_id is not null)) from usage_events where event_id is not null",
    "events without a key": "select count(*) from usage_events where event_id is null",
    "ties in time": "select count(*) from (select customer_id, occurred_at from usage_events group by 1, 2 "
    "having count(distinct event_id) > 1)",
    "one-time buyers": "select count(*) from (select customer_id from transactions group by 1 "
    "having count(distinct order_id) = 1) where customer_id not in (select customer_id from subscriptions)",
    "customers without any event": "select count(*) from customers where customer_id not in "
    "(select customer_id from usage_events union all select customer_id from transactions "
    "union all select customer_id from subscriptions)",
    "internal users": "select count(*) from customers where is_internal",
    "internal users who act": "select count(*) from usage_events join customers using (customer_id) where is_internal",
    "self-referrals": "select count(*) from referrals where advocate_id = prospect_id",
    "fraud found out later": "select count(*) from referrals where is_fraud and ingested_at > invited_at",
    "prospects invited twice": "select count(*) from (select advocate_id, prospect_id from referrals group by 1, 2 "
    "having count(distinct referral_id) > 1)",
    "referred customers": "select count(*) from customers join referrals on advocate_id = referred_by "
    "and prospect_id = customers.customer_id where converted_at is not null",
    "announced ends": "select count(*) from subscriptions where ingested_at < ended_at",
    "announced ends yet to come": f"select count(*) from subscriptions where epoch_us(ended_at) >= {LAST_INSTANT_US}",
    "involuntary ends": "select count(*) from subscriptions where is_voluntary = false",
    "resumption within the gap": "select count(*) from subscriptions a join subscriptions b using (customer_id) "
    "where a.is_voluntary is not null and b.started_at > a.ended_at and b.started_at < a.ended_at + interval 14 day",
    "return after the gap": "select count(*) from subscriptions a join subscriptions b using (customer_id) "
    "where a.is_voluntary is not null and b.started_at > a.ended_at + interval 14 day",
    "changes at one instant": "select count(*) from subscriptions a join subscriptions b using (customer_id) "
    "where a.ended_at = b.started_at and a.plan <> b.plan",
    "a price rise": "select count(*) from subscriptions a join subscriptions b using (customer_id) "
    "where a.ended_at = b.started_at and a.plan = b.plan and b.mrr > a.mrr",
    "two subscriptions at once": "select count(*) from subscriptions where plan = 'add_on'",
    "changed plans": "select count(*) from customers where ingested_at > created_at and plan is not null",
    "refunds": "select count(*) from transactions where kind = 'refund' and amount < 0",
    "orders of several lines": "select count(*) from (select order_id from transactions "
    "where order_id is not null group by 1 having count(distinct transaction_id) > 1)",
    "missing margins": "select count(*) from transactions where gross_margin is null",
    "reopened tickets": "select count(*) from tickets where is_reopened",
    "unresolved tickets": "select count(*) from tickets where resolved_at is null",
    "robots": "select count(*) from sessions where is_bot and customer_id is null",
    "posts about competitors": "select count(*) from social_posts where competitor is not null",
    "asked acts": "select count(*) from advocacy_acts join asks using (ask_id) where occurred_at > asked_at",
    "rewarded acts": "select count(*) from advocacy_acts where is_incentivised and ask_id is null",
    "randomised asks": "select count(*) from asks where is_randomised and propensity is not null",
    "chosen asks": "select count(*) from asks where not is_randomised and propensity is null",
    "both arms": "select count(distinct arm) - 1 from treatments",
    "members who left": "select count(*) from loyalty_members where left_at is not null",
    "redeemed lots": "select count(*) from loyalty_ledger e join loyalty_ledger l on e.lot_id = l.entry_id "
    "where e.kind = 'redeem' and l.kind = 'earn' and e.occurred_at > l.occurred_at",
}


@pytest.mark.parametrize("trait", TRAITS)
def test_the_company_has(count, trait):
    assert count(TRAITS[trait]) > 0


def test_lots_are_never_overdrawn(count):
    overdrawn = (
        "select count(*) from (select lot_id, sum(case kind when 'earn' then points else -points end) rest from "
        "(select distinct entry_id, lot_id, kind, points from loyalty_ledger where lot_id is not null) group by 1) "
        "where rest < 0"
    )
    assert count(overdrawn) == 0


def test_every_instrument_and_every_kind_of_act_occurs(query):
    assert set(query("select distinct instrument i from surveys")["i"]) == set(
        TABLES["surveys"].columns["instrument"].values
    )
    assert set(query("select distinct status s from surveys")["s"]) == set(TABLES["surveys"].columns["status"].values)
    assert set(query("select distinct kind k from advocacy_acts")["k"]) == set(ACT_KINDS)


def test_every_metric_of_surveys_has_a_value(staged):
    asked = [name for name, metric in load_metrics().items() if any("surveys" in need for need in metric.inputs)]
    found = measure(open_tables(staged, "polars"), LAST_INSTANT_US, asked, bootstraps=False)
    assert [envelope.metric_id for envelope in found if envelope.value is None] == []


def test_every_item_that_metrics_know_is_asked(query):
    asked = set(query("select distinct instrument i, item t from surveys").itertuples(index=False, name=None))
    for instrument, items in ITEMS.items():
        named = {name for of, name in asked if of == instrument}
        assert all(any(name.startswith(item.name) for name in named) for item in items if item.name != "effort")


def test_verbatims_are_written_in_three_languages_and_follow_the_score(query):
    rows = query(
        "select score, verbatim, left(language, 2) l from surveys where instrument = 'nps' and verbatim is not null"
    )
    assert set(rows["l"]) == {"en", "ko", "ro"}
    assert set(rows["verbatim"]) <= set(WORDS)
    for word, language in (
        ("great|love|excellent|good", "en"),
        ("좋아요|훌륭|만족", "ko"),
        ("bun|excelent|place", "ro"),
    ):
        texts = rows[rows["l"] == language]
        happy = texts["verbatim"].str.contains(word, case=False)
        assert texts[happy]["score"].mean() > texts[~happy]["score"].mean() + 0.5

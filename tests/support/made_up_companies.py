"""Companies made up at random from the contract alone: any table may be there or not, any optional column empty.

Rows are as `metric_examples.company` takes them: times in days from one instant, negative before it. A new column or
table of the contract is made up without a change here.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import narwhals as nw
from hypothesis import strategies as st

from vouch.features.contract.tables import TABLES

OLDEST = -800
SCALES = ((0, 10), (1, 5), (1, 7), (1, 10), (1, 100))
USUAL = {"nps": (0, 10), "csat": (1, 5), "cxi": (1, 5), "trust": (1, 5), "culture": (1, 5)}
"""The scale that most rows of an instrument have; 1 to 7 for the others."""
MORE = {"surveys": 5, "usage_events": 3, "transactions": 3, "sessions": 2, "loyalty_ledger": 2}
"""Tables that have so many times the rows of the others."""
ITEMS = ("ease", "empathy", "understanding", "effectiveness", "emotion", "affinity", "attachment", "trust", "service",
         "repurchase_intent", "better_value", None)  # fmt: skip
WORDS = {
    "item": ITEMS,
    "touchpoint": (None, "relational", "support", "onboarding"),
    "language": ("en", "fil-PH", "fi", "zh-Hans", None),
    "region": ("north", "south", None),
    "acquisition_source": ("referral", "ads", None),
    "metric": ("nps", "csat"),
    "competitor": ("acme", "beta", "gamma", "delta", None),
    "author": tuple(f"author{number}" for number in range(12)),
}
TONES = ("surveys", "feedback", "social_posts")
CUSTOMERS = ("referred_by", "prospect_id")


@dataclass(frozen=True)
class Recipe:
    """All that a made-up company follows from: a failure is told by this line."""

    seed: int
    customers: int
    most: int
    left_out: frozenset[str]

    def rows(self):
        """Rows by table."""
        return made_up(random.Random(self.seed), self.customers, set(TABLES) - self.left_out, self.most)


OTHERS = sorted(set(TABLES) - {"customers"})
companies = st.builds(
    Recipe,
    seed=st.integers(0, 2**32 - 1),
    customers=st.integers(1, 30),
    most=st.sampled_from((0, 3, 40, 120)),
    left_out=st.frozensets(st.sampled_from(OTHERS), max_size=12),
)


def made_up(dice, customers, tables, most):
    """Rows of these tables, at most so many in each, of so many customers."""
    people = [f"c{number:02}" for number in range(customers)]
    found = {"customers": [_row(dice, "customers", people, customer_id=c, is_internal=None) for c in people]}
    for name in sorted(tables - {"customers"}):
        keyed = TABLES[name].key == "customer_id"
        count = dice.randint(0, most) * MORE.get(name, 1)
        rows = [_row(dice, name, people) for _ in range(min(count, customers) if keyed else count)]
        if keyed:
            rows = [{**row, "customer_id": c} for row, c in zip(rows, people, strict=False)]
        empty = {c.name for c in TABLES[name].columns.values() if not c.is_required and dice.random() < 0.15}
        empty -= set(TABLES[name].clock)
        found[name] = [{column: value for column, value in row.items() if column not in empty} for row in rows]
    return found


def _row(dice, name, people, **fixed):
    table = TABLES[name]
    own = dice.choice(
        (dice.uniform(OLDEST, -0.01), dice.uniform(-100, -0.01), -dice.randint(1, 120), -dice.random() * 30)
    )
    row = dict.fromkeys(table.clock[:1], own)
    for column in table.columns.values():
        if column.name in row or column.name in {"ingested_at", "is_deleted", table.key}:
            continue
        if not column.is_required and dice.random() < 0.2:
            continue
        row[column.name] = own + dice.uniform(0, 90) if column.kind == "time" else _value(dice, column, people)
    row |= fixed
    return _sensible(dice, name, row)


def _value(dice, column, people):
    name = column.name
    if name in {"customer_id", "advocate_id"} or name in CUSTOMERS:
        return dice.choice(people)
    if column.values:
        return dice.choice(column.values)
    if name in WORDS:
        return dice.choice(WORDS[name])
    low = column.minimum or 0
    high = column.maximum or low + 20
    made = {
        "text": lambda: f"{name}{dice.randint(0, 5)}",
        "money": lambda: dice.choice((0, 10, 10, dice.randint(1, 500))),
        "number": lambda: round(dice.uniform(low, high), 1),
        "integer": lambda: dice.randint(int(low), int(high)),
        "boolean": lambda: dice.random() < 0.5,
        "probability": lambda: round(dice.random(), 2),
    }
    return made[column.kind]()


def _sensible(dice, name, row):
    """What the quarantine would have put right or taken away."""
    if name == "surveys":
        usual = USUAL.get(row["instrument"], (1, 7))
        row["scale_min"], row["scale_max"] = usual if dice.random() < 0.9 else dice.choice(SCALES)
        row["status"] = "answered" if dice.random() < 0.6 else row["status"]
        row["score"] = dice.randint(row["scale_min"], row["scale_max"]) if row["status"] == "answered" else None
    if name == "transactions" and (row["kind"] in {"refund", "downgrade"} or dice.random() < 0.03):
        row["amount"] = -row["amount"]
    if name in TONES:
        row["polarity"] = dice.choice((None, -100, -30, 0, 40, 100))
    if name == "maturity_answers":
        row["level"] = dice.randint(1, 4)
    return row


def twice(rows_by_table, single=("maturity_answers", "competitor_metrics")):
    """The same company two times over: every row again, with other ids; what is said of the world stands once."""
    return {
        name: rows if name in single else [*rows, *(_other(name, row) for row in rows)]
        for name, rows in rows_by_table.items()
    }


IDS = ("_id", "author", "referred_by", "user_id")


def _other(name, row):
    return {
        column: f"{value}'" if isinstance(value, str) and column.endswith(IDS) else value
        for column, value in row.items()
    }


def of_staff(rows_by_table, times=2):
    """Rows of internal customers, like those of the others, in every table that names customers.

    No row brings a table or a column that was not there.
    """
    found = {}
    for name, rows in rows_by_table.items():
        column = TABLES[name].customer
        if name == "customers" or not any(column in row for row in rows):
            continue
        found[name] = [
            {**{key: f"staff {value}" if isinstance(value, str) and key.endswith(IDS) else value
                for key, value in row.items() if key != TABLES[name].key},
             column: "staff", **({"prospect_id": "staff2"} if "prospect_id" in row else {})}
            for row in rows[:times]
        ]  # fmt: skip
        if TABLES[name].key == column:
            found[name] = found[name][:1]
    people = [{"customer_id": c, "created_at": -300, "is_internal": True} for c in ("staff", "staff2")]
    return {**found, "customers": people}


def of_later(rows_by_table, times=3):
    """Rows like those that are there, which happen or become known at the instant or after it."""
    found = {}
    for name, rows in rows_by_table.items():
        times_of = [column.name for column in TABLES[name].columns.values() if column.kind == "time"]
        key = TABLES[name].key
        made = []
        for number, row in enumerate(rows[:times]):
            other = {column: f"later {value}" if column == key else value for column, value in row.items()}
            if number % 2 or name == "customers":
                other |= {column: value - OLDEST for column, value in row.items() if column in times_of and value}
            else:
                other["ingested_at"] = 1
            made.append(other)
        found[name] = made
    return found


def with_nobody(tables):
    """The same tables with every row of a customer once more, of an id that `customers` does not hold.

    Referrals stay as they are: they compete for prospects, whoever sent them.
    """
    frames = dict(tables.frames)
    for name, frame in tables.frames.items():
        column, key = TABLES[name].customer, TABLES[name].key
        if name in {"customers", "referrals"} or column is None or column not in frame.collect_schema().names():
            continue
        ids = {of: nw.concat_str(nw.lit("nobody "), nw.col(of)) for of in {column, key or column}}
        frames[name] = nw.concat([frame, frame.with_columns(**ids)])
    return replace(tables, frames=frames)

"""Arrow schemas of a snapshot's tables: the one place that says what batch, service and exports agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from vouch import models
from vouch.features.instants import is_midnight
from vouch.features.metrics.populations.advocacy import TIERS as BY_RANK

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAMED = ("churn", "advocacy")
EXTRA = tuple(name for name in models.names() if name not in NAMED)
"""Models beside the two that the interface names: a definition under `models/` is all that one needs."""
MODELS = (*NAMED, *EXTRA)
"""The models that have columns of their own in `scores`, in this order."""
ENDS = ("low", "high")
"""Ends of the 95 % interval of a probability: how far its calibration is known."""
VALUES = ("clv_margin", "clv_margin_low", "clv_margin_high", "clv_margin_so_far", "clv_revenue")
"""Lifetime values: what was brought so far and is expected, the ends of its 80 % interval, what is of the past."""
HEALTH_BOUNDS = ("health_coverage", "health_low", "health_high")
"""Share of the weight that is known, 0 to 1, and the score had all that is missing 0 points, or 100."""
NO_MODEL = "no_model"
"""The status of who would be scored, had a champion passed the gate."""
OPTED_OUT = "opted_out"
"""The status of who objects to being profiled: no vector, no score and no rule looks at them."""
TIERS = ("none", *reversed(BY_RANK))
"""Tiers of advocates, from below."""
ASK_DAYS = 730
"""Asks of so many days are told; caps and rests that reach further back cannot be declared."""
THANK, REPAIR = "thank", "repair"
"""What `care_first` may say is due before an ask."""

REASONS = pa.list_(
    pa.struct(
        [("family", pa.string()), ("feature", pa.string()), ("value", pa.string()), ("contribution", pa.float64())]
    )
)
CHANGES = pa.list_(
    pa.struct(
        [
            ("cause", pa.string()),
            ("family", pa.string()),
            ("feature", pa.string()),
            ("before", pa.string()),
            ("value", pa.string()),
            ("contribution", pa.float64()),
        ]
    )
)
"""What moved a raw score since the snapshot before: see `vouch.serving.scoring.score_changes`."""
WITHIN_WEEKS = (1, 2, 4, 8, 13, 26)
"""Horizons that a snapshot tells, where the model says how soon."""
WITHIN = pa.list_(pa.struct([("weeks", pa.int64()), ("probability", pa.float64())]))
EFFECTS = pa.list_(
    pa.struct([("kind", pa.string()), ("treated", pa.float64()), ("untreated", pa.float64()), ("effect", pa.float64())])
)
"""Of each kind of treatment the probability with it and without, and what it adds; the last is null where that is not
known from treatments at random."""
MEANINGS = {
    "scores": "one row per external customer known at as_of: statuses, probabilities, how soon, reasons, tier, health",
    "metrics": "one row per metric and segment: value, interval and what it rests on",
    "customers": "one row per external customer known at as_of: the profile that filters and rules read, and names",
    "vectors": "one row per external customer known at as_of: the features that models may read, for the next week",
    "changes": "one row per external customer known at as_of: what moved each score since the snapshot before",
    "lists": "one row per list behind the figures and rank: the customer, if it names one, and the whole row as JSON",
    "movers": "one row per model, list and customer: who moved most since the snapshot before, and by what",
}


def as_of_type(as_of_us: int) -> pa.DataType:
    """Return a date, or a timestamp where the instant is no midnight."""
    return pa.date32() if is_midnight(as_of_us) else pa.timestamp("us", tz="UTC")


def repeated(as_of_us: int, rows: int) -> pa.Array:
    """Return a column that holds the instant of a snapshot."""
    instants = pa.array([as_of_us] * rows, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    return instants.cast(as_of_type(as_of_us))


def scores_schema(as_of_us: int) -> pa.Schema:
    """Columns of `scores.parquet`."""
    return pa.schema(
        [
            ("customer_id", pa.string()),
            ("as_of", as_of_type(as_of_us)),
            *((f"{model}_status", pa.string()) for model in MODELS),
            *((f"{model}_probability", pa.float64()) for model in MODELS),
            *((f"{model}_{end}", pa.float64()) for model in MODELS for end in ENDS),
            ("advocacy_score", pa.float64()),
            ("churn_band", pa.string()),
            *((f"{model}_reasons", REASONS) for model in MODELS),
            *((f"{model}_base", pa.float64()) for model in MODELS),
            *((f"{model}_raw", pa.float64()) for model in MODELS),
            *((f"{model}_model", pa.string()) for model in MODELS),
            ("advocate_tier", pa.string()),
            ("health_score", pa.float64()),
            ("health_band", pa.string()),
            *((name, pa.float64()) for name in HEALTH_BOUNDS),
            *((name, pa.float64()) for name in VALUES),
            ("clv_status", pa.string()),
            ("clv_way", pa.string()),
            *((f"{model}_band", pa.string()) for model in EXTRA),
            *((f"{model}_within", WITHIN) for model in MODELS),
            *((f"{model}_effects", EFFECTS) for model in MODELS),
        ]
    )


def nothing(name: str, rows: int) -> pa.Array:
    """Return nulls for a column of `scores` that a snapshot lacks, because it was published before there was one.

    Raises KeyError for what every snapshot must have.
    """
    later = [f"{model}_{part}" for model in MODELS for part in (*ENDS, "within", "effects")]
    later += [*VALUES[1:], "clv_status", "clv_way", *HEALTH_BOUNDS]
    if name not in later and not name.startswith(tuple(f"{model}_" for model in EXTRA)):
        raise KeyError(name)
    return pa.nulls(rows, scores_schema(0).field(name).type)


def changes_schema(as_of_us: int) -> pa.Schema:
    """Columns of `changes.parquet`."""
    return pa.schema(
        [
            ("customer_id", pa.string()),
            ("as_of", as_of_type(as_of_us)),
            *((f"{model}_changes", CHANGES) for model in MODELS),
        ]
    )


def movers_schema(as_of_us: int) -> pa.Schema:
    """Columns of `movers.parquet`."""
    return pa.schema(
        [
            ("customer_id", pa.string()),
            ("as_of", as_of_type(as_of_us)),
            ("model", pa.string()),
            ("list", pa.string()),
            ("rank", pa.int64()),
            ("probability_before", pa.float64()),
            ("probability", pa.float64()),
            ("raw_before", pa.float64()),
            ("raw", pa.float64()),
            ("state_before", pa.string()),
            ("state", pa.string()),
            ("changes", CHANGES),
        ]
    )


def metrics_schema(as_of_us: int) -> pa.Schema:
    """Columns of `metrics.parquet`: the envelope of a metric."""
    text, number, whole = pa.string(), pa.float64(), pa.int64()
    return pa.schema(
        [
            ("metric_id", text),
            ("code", text),
            ("by", text),
            ("segment", text),
            ("value", number),
            ("unit", text),
            ("n", whole),
            ("n_items", whole),
            ("n_missing", whole),
            ("coverage", number),
            ("ci_low", number),
            ("ci_high", number),
            ("ci_method", text),
            ("bound_low", number),
            ("bound_high", number),
            ("value_shrunk", number),
            ("window_days", whole),
            ("as_of", as_of_type(as_of_us)),
            ("population", text),
            ("definition_version", text),
            ("definition_source", text),
            ("higher_is_better", pa.bool_()),
            ("status", text),
            ("reason", text),
        ]
    )


LISTS = pa.schema([("list", pa.string()), ("rank", pa.int64()), ("customer_id", pa.string()), ("row", pa.string())])
"""Columns of `lists.parquet`."""
MOST_ROWS = 10_000
"""Rows of a list that a week holds; the command line has all."""
CUSTOMERS = pa.schema(
    [
        ("customer_id", pa.string()),
        ("segment", pa.string()),
        ("region", pa.string()),
        ("country", pa.string()),
        ("language", pa.string()),
        ("plan", pa.string()),
        ("industry", pa.string()),
        ("company_size", pa.int64()),
        ("use_case", pa.string()),
        ("persona", pa.string()),
        ("contact_consent", pa.bool_()),
        ("advocacy_consent", pa.bool_()),
        ("mrr", pa.float64()),
        ("currency", pa.string()),
        ("renewal_at", pa.timestamp("us", tz="UTC")),
        *((name, pa.string()) for name in ("account_id", "name", "account_name", "owner", "crm_url")),
        ("silent_days", pa.float64()),
        ("last_asked_at", pa.timestamp("us", tz="UTC")),
        ("last_ask_kind", pa.string()),
        ("last_ask_outcome", pa.string()),
        ("tenure_days", pa.float64()),
        ("nps_last", pa.float64()),
        ("open_tickets", pa.list_(pa.string())),
        ("care_first", pa.string()),
        ("acts", pa.list_(pa.struct([("kind", pa.string()), ("n", pa.int64()), ("last_us", pa.int64())]))),
        (
            "asks",
            pa.list_(
                pa.struct(
                    [
                        ("ask_id", pa.string()),
                        ("kind", pa.string()),
                        ("asked_us", pa.int64()),
                        ("outcome", pa.string()),
                        ("outcome_us", pa.int64()),
                        ("propensity", pa.float64()),
                        ("is_randomised", pa.bool_()),
                    ]
                )
            ),
        ),
    ]
)
"""Columns of `customers.parquet`. A missing consent is none; `mrr` is that of all running subscriptions, null where the
company has no such table, 0 where the customer has none. `renewal_at` is the next renewal of what runs, null where it
can end at any time; `silent_days` are those since the customer was last active. Names, owner and link are for people's
eyes alone."""
FORMS: Mapping[str, Callable[[int], pa.Schema]] = {
    "scores": scores_schema,
    "changes": changes_schema,
    "movers": movers_schema,
    "metrics": metrics_schema,
    "customers": lambda _: CUSTOMERS,
    "lists": lambda _: LISTS,
}
"""Columns of each table of a snapshot, by its instant."""

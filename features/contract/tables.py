"""The canonical tables as data: the one place that says what a company hands over.

Reading, mapping, checking, quarantine, `vouch check` and the documentation are derived from `TABLES`. A column is
written as a short line: name, `?` where optional, and its kind with its limits, for example ``rating? number 0..``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from vouch.features.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["text", "time", "money", "number", "integer", "boolean", "probability"]
KINDS: frozenset[str] = frozenset({"text", "time", "money", "number", "integer", "boolean", "probability"})

CONTRACT_VERSION = "4"
"""Moves when a rule or column of the contract changes; staged tables of another version are not used."""
DAY_US = 86_400_000_000
"""Microseconds in a day of 24 hours (all days are UTC)."""
NO_END_US = 4_102_444_800_000_000
"""From 2100-01-01 on a later date says that nobody knows it: it is no date."""
NA_IS_A_NAME = frozenset({"region", "country", "segment", "plan", "language"})
"""Columns in which "NA" is a value (North America, Namibia), and not a word for nothing."""


@dataclass(frozen=True)
class Column:
    """One column: its kind, whether it must be there, its allowed values or range."""

    name: str
    kind: Kind
    is_required: bool
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def staged(self) -> str:
        """Name in contract form: a time `xxx_at` stands as `xxx_us`."""
        return re.sub(r"_at$", "_us", self.name) if self.kind == "time" else self.name


@dataclass(frozen=True)
class Table:
    """One canonical table.

    `clock` names the columns that give the own time, the first that is there wins. `later` maps a later-dated column
    to the columns whose facts come with it: they are unknown before that date. `undated` names facts that may change
    and carry no time of their own: without `ingested_at` they are today's values. `references` maps a column to the
    table and column that it points to; a reference to nothing becomes null. `running` is a later date whose absence
    says that the row still goes on, so that what comes with it is not known yet.
    """

    name: str
    key: str | None
    clock: tuple[str, ...]
    columns: Mapping[str, Column]
    later: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_required: bool = False
    meaning: str = ""
    undated: tuple[str, ...] = ()
    references: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    running: str | None = None
    free: tuple[str, ...] = ()
    """Times of a company's own, of which nobody has said that they follow the own time of their row."""

    @property
    def customer(self) -> str | None:
        """The column that holds the customer, None where rows belong to nobody, or to the company."""
        return next((name for name in ("customer_id", "advocate_id") if name in self.columns), None)

    def required(self) -> list[Column]:
        """Columns without which a row has no meaning."""
        return [column for column in self.columns.values() if column.is_required]

    def dates(self) -> list[Column]:
        """Time columns that must not lie before the own time of their row."""
        apart = {*self.clock[:1], "ingested_at", *self.free}
        return [column for column in self.columns.values() if column.kind == "time" and column.name not in apart]

    def open_dates(self) -> list[Column]:
        """Later dates that may be missing, because what they tell has not happened."""
        return [column for column in self.dates() if not column.is_required]


@dataclass(frozen=True)
class Item:
    """A question of a survey instrument that metrics know by its name, and the metrics that it feeds.

    With `is_prefix` every name that begins like this is meant.
    """

    name: str
    feeds: tuple[str, ...]
    is_prefix: bool = False


EXPERIENCE = ("cxi_four_component", "cxi_forrester3")
ITEMS: Mapping[str, tuple[Item, ...]] = {
    "cxi": (
        Item("ease", EXPERIENCE),
        Item("effort", EXPERIENCE),
        Item("empathy", EXPERIENCE[:1]),
        Item("understanding", EXPERIENCE[:1]),
        Item("effectiveness", EXPERIENCE),
        Item("emotion", EXPERIENCE[1:]),
    ),
    "emotional_loyalty": tuple(
        Item(facet, ("emotional_loyalty",), is_prefix=True) for facet in ("affinity", "attachment", "trust")
    ),
    "perception": (Item("repurchase_intent", ("repurchase_intent",)), Item("better_value", ("better_value",))),
    "expectation": (),
}
"""Items by instrument; other instruments ask one question, or take every item alike.

An item that `expectation` and `perception` both ask, whatever its name, feeds `expectation_gap`. Names are read without
regard to case, and blanks and hyphens are underscores.
"""
PAIRED = ("expectation", "perception")
"""Instruments whose items of one name are held against each other."""

ACT_KINDS = (
    "referral", "review", "reference_call", "case_study", "testimonial",
    "social_share", "event_talk", "beta", "community_answer",
)  # fmt: skip
CHANNELS = ("web", "app", "email", "phone", "store", "community", "api")
_ENUMS: dict[str, tuple[str, ...]] = {
    "billing": ("month", "year"),
    "transaction": ("purchase", "renewal", "upgrade", "downgrade", "refund"),
    "channel": CHANNELS,
    "instrument": (
        "nps", "csat", "ces", "ces1", "trust", "emotional_loyalty", "cxi", "expectation", "culture", "perception",
        "exit",
    ),
    "answer": ("answered", "partial", "dismissed", "delivered"),
    "source": (
        "amazon", "google", "trustpilot", "tripadvisor", "app_store", "social", "support", "own_site", "other",
    ),
    "act": ACT_KINDS,
    "outcome": ("accepted", "declined", "ignored"),
    "ledger": ("earn", "redeem", "expire", "adjust"),
    "role": ("admin", "member"),
    "touch": ("service", "sales", "marketing"),
    "arm": ("treated", "control"),
    "cost": ("sales", "marketing", "programme"),
    "recognition": ("thanks", "public", "tier", "gift"),
}  # fmt: skip
_LINE = re.compile(r"(?P<name>\w+)(?P<optional>\?)? (?P<kind>\w+)(?: (?P<low>-?[\d.]+)?\.\.(?P<high>[\d.]+)?)?$")
_EVERYWHERE = "ingested_at? time; is_deleted? boolean"


def _column(line: str) -> Column:
    match = _LINE.match(line.strip())
    if not match:
        raise DefinitionError(f"Cannot read the column line {line!r} of the contract")
    kind, low, high = match["kind"], match["low"], match["high"]
    values = _ENUMS.get(kind, ())
    if not values and kind not in KINDS:
        raise DefinitionError(f"Column line {line!r}: unknown kind {kind!r}")
    return Column(
        name=match["name"],
        kind="text" if values else kind,  # type: ignore[arg-type]  # checked against KINDS above
        is_required=not match["optional"],
        values=values,
        minimum=float(low) if low else None,
        maximum=float(high) if high else None,
    )


def _table(
    name: str,
    key: str | None,
    clock: str,
    columns: str,
    *,
    later: Mapping[str, str] | None = None,
    is_required: bool = False,
    meaning: str,
    undated: str = "",
    references: Mapping[str, tuple[str, str]] | None = None,
    running: str | None = None,
) -> Table:
    parsed = [_column(line) for line in f"{columns}; {_EVERYWHERE}".split(";")]
    return Table(
        name=name,
        key=key,
        clock=tuple(clock.split()),
        columns={column.name: column for column in parsed},
        later={date: tuple(with_it.split()) for date, with_it in (later or {}).items()},
        is_required=is_required,
        meaning=meaning,
        undated=tuple(undated.split()),
        references=references or {},
        running=running,
    )


_ALL = [
    _table(
        "customers", "customer_id", "created_at",
        "customer_id text; created_at time; account_id? text; region? text; country? text; language? text; "
        "segment? text; plan? text; industry? text; birth_year? integer 1800..2200; gender? text; "
        "acquisition_source? text; referred_by? text; contact_consent? boolean; advocacy_consent? boolean; "
        "is_internal? boolean; is_opted_out? boolean; company_size? integer 1..; use_case? text; persona? text; "
        "name? text; account_name? text; owner? text; owner_email? text; crm_url? text",
        is_required=True, meaning="One row per customer, external or internal.",
        undated="segment plan region country language contact_consent advocacy_consent is_internal is_opted_out "
        "industry company_size use_case persona",
        references={"referred_by": ("customers", "customer_id")},
    ),
    _table(
        "subscriptions", "subscription_id", "started_at",
        "subscription_id text; customer_id text; started_at time; ended_at? time; mrr money 0..; plan? text; "
        "billing_period? billing; cancel_reason? text; is_voluntary? boolean; renewal_at? time; currency? text",
        later={"ended_at": "cancel_reason is_voluntary"}, meaning="Spans of contract; no end means running.",
        undated="mrr plan billing_period",
    ),
    _table(
        "transactions", "transaction_id", "occurred_at",
        "transaction_id text; customer_id text; occurred_at time; amount money; gross_margin? money; "
        "kind transaction; channel? text; product_id? text; category? text; discount? money; order_id? text; "
        "currency? text",
        meaning="Money that changed hands; refunds are negative.",
    ),
    _table(
        "usage_events", "event_id", "occurred_at",
        "event_id? text; customer_id text; occurred_at time; event text; feature? text; channel? channel; "
        "value? number; user_id? text",
        meaning="What a customer did in the product.",
    ),
    _table(
        "sessions", "session_id", "started_at",
        "session_id text; customer_id? text; visitor_id? text; started_at time; ended_at? time; "
        "engaged_s? number 0..; channel? text; is_bot? boolean",
        later={"ended_at": "engaged_s"}, meaning="Visits to the site or the app; no end means still there.",
        running="ended_at",
    ),
    _table(
        "surveys", "response_id", "invited_at responded_at",
        "response_id text; customer_id text; instrument instrument; item? text; scale_min number; "
        "scale_max number; score? number; status answer; touchpoint? text; channel? text; language? text; "
        "invited_at? time; responded_at? time; verbatim? text",
        later={"responded_at": "score status verbatim"}, meaning="Questions asked and their answers.",
    ),
    _table(
        "feedback", "feedback_id", "occurred_at",
        "feedback_id text; customer_id? text; source source; occurred_at time; text? text; rating? number 0..; "
        "rating_max? number 1..; language? text; topic? text; acted_on_at? time; closed_at? time",
        later={"acted_on_at": "", "closed_at": ""}, meaning="Reviews and remarks, public or sent in.",
    ),
    _table(
        "tickets", "ticket_id", "opened_at",
        "ticket_id text; customer_id text; opened_at time; first_response_at? time; resolved_at? time; "
        "wait_s? number 0..; first_channel? text; final_channel? text; contacts? integer 0..; "
        "is_reopened? boolean; csat? number 1..5; priority? text",
        later={"first_response_at": "wait_s", "resolved_at": "csat final_channel contacts is_reopened"},
        meaning="Requests for help.",
    ),
    _table(
        "social_posts", "post_id", "occurred_at",
        "post_id text; author text; customer_id? text; platform text; occurred_at time; likes? integer 0..; "
        "shares? integer 0..; comments? integer 0..; impressions? integer 0..; reach? integer 0..; "
        "followers? integer 0..; is_brand_mention? boolean; competitor? text; text? text; language? text; "
        "brand_reacted_at? time",
        later={"brand_reacted_at": ""}, meaning="Posts in public, by customers or others.",
    ),
    _table(
        "referrals", "referral_id", "invited_at",
        "referral_id text; advocate_id text; prospect_id text; invited_at time; clicked_at? time; "
        "signed_up_at? time; converted_at? time; first_value? money; reward_cost? money; "
        "is_incentivised? boolean; is_fraud? boolean; counterfactual_p? probability",
        later={"clicked_at": "", "signed_up_at": "", "converted_at": "first_value"},
        meaning="Invitations from a customer to a prospect.",
        undated="is_fraud", references={"advocate_id": ("customers", "customer_id")},
    ),
    _table(
        "advocacy_acts", "act_id", "occurred_at",
        "act_id text; customer_id text; occurred_at time; kind act; is_incentivised? boolean; "
        "reach? integer 0..; ask_id? text",
        meaning="Acts of speaking up for the company.",
        references={"ask_id": ("asks", "ask_id")},
    ),
    _table(
        "asks", "ask_id", "asked_at",
        "ask_id text; customer_id text; asked_at time; kind act; outcome? outcome; outcome_at? time; "
        "propensity? probability; is_randomised? boolean",
        later={"outcome_at": "outcome"}, meaning="Requests to customers to speak up.",
    ),
    _table(
        "loyalty_members", "customer_id", "enrolled_at",
        "customer_id text; enrolled_at time; left_at? time; tier? text",
        later={"left_at": ""}, meaning="Members of the loyalty programme.", undated="tier",
    ),
    _table(
        "loyalty_ledger", "entry_id", "occurred_at",
        "entry_id text; customer_id text; occurred_at time; kind ledger; points number; lot_id? text",
        meaning="Points earned, redeemed, expired, adjusted.",
        references={"lot_id": ("loyalty_ledger", "lot_id")},
    ),
    _table(
        "advocacy_software", "event_id", "occurred_at",
        "event_id text; user_id text; role role; occurred_at time; feature text",
        meaning="Use of the advocacy software by the company's staff and members.",
    ),
    _table(
        "licences", None, "started_at",
        "product text; started_at time; ended_at? time; seats integer 0..; features_available? integer 0..",
        meaning="Seats paid for, by product and period.",
    ),
    _table(
        "touches", "touch_id", "occurred_at",
        "touch_id text; customer_id text; occurred_at time; kind touch; channel? text; "
        "is_personalised? boolean; is_accepted? boolean",
        meaning="Contacts from the company to a customer.",
    ),
    _table(
        "treatments", "treatment_id", "occurred_at",
        "treatment_id text; customer_id text; occurred_at time; campaign text; arm arm; cost? money; "
        "propensity? probability",
        meaning="Assignments to the arms of a campaign.",
    ),
    _table(
        "costs", None, "started_at", "started_at time; ended_at time; kind cost; amount money",
        meaning="Spending on sales, marketing, programme, by period.",
    ),
    _table(
        "capex", None, "started_at", "started_at time; ended_at time; category text; amount money",
        meaning="Capital expenditure by period.",
    ),
    _table(
        "health_overrides", None, "set_at",
        "customer_id text; score number 0..100; reason text; set_by text; set_at time; expires_at time",
        meaning="Health scores set by hand, with an expiry.",
    ),
    _table(
        "recognitions", None, "occurred_at", "customer_id text; occurred_at time; kind recognition",
        meaning="Thanks and recognition given to customers.",
    ),
    _table(
        "maturity_answers", None, "answered_at",
        "criterion text; level integer 1..4; is_met boolean; evidence? text; answered_at time",
        meaning="Answers of the advocacy maturity questionnaire.",
    ),
    _table(
        "competitor_metrics", None, "observed_at",
        "competitor text; metric text; value number; observed_at time",
        meaning="Published metrics of competitors.",
    ),
]  # fmt: skip

TABLES: Mapping[str, Table] = {table.name: table for table in _ALL}
ACTIVITY_TABLES = ("usage_events", "transactions")
"""At least one of these must be there: they say who is active, and how far the data reach."""

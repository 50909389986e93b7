"""Answer types of lists for people, `/v1/week` first: whom to call, thank and wait for, and how the last run ended."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from vouch.serving.api.answer_types import Called, Fresh, Moved, RankedBy, Reason
from vouch.serving.api.handlers.health_types import BandReasonAnswer  # noqa: TC001  # pydantic reads it

Money = Annotated[float | None, Field(description="A month, in the company's currency; null without revenue.")]
LowEnd = Annotated[float | None, Field(description="Lower end of the 95 % interval.")]
HighEnd = Annotated[float | None, Field(description="Upper end of the 95 % interval.")]
Chance = Annotated[float | None, Field(description="Probability of leaving within `horizon_days`.")]


AtRiskMoney = Annotated[float | None, Field(description="Revenue at risk a month: the probability times `mrr`.")]
NoValue = Annotated[
    Literal["no_revenue", "not_scored"] | None,
    Field(description="Why there is no `value`: no monthly revenue is known, or no model scores the customer."),
]


class Person(Called):
    """Who it is about."""

    segment: str | None
    mrr: Money
    contact_consent: Annotated[bool, Field(description="Whether the customer may be contacted.")]


class ToCall(Person):
    """One customer to call, with what moved the risk, or what makes it high where nothing is known to have moved."""

    why: Literal["newly_high", "rose", "high", "unhealthy"]
    value: AtRiskMoney
    value_reason: NoValue
    health_score: Annotated[float | None, Field(description="0 to 100.")]
    churn_probability: Chance
    churn_low: LowEnd
    churn_high: HighEnd
    churn_band: str | None
    before: Annotated[float | None, Field(description="The probability of the week before.")]
    renewal_at: Annotated[str | None, Field(description="The next renewal of an annual subscription.")]
    has_moved: Annotated[bool, Field(description="Whether `reasons` are what moved since the week before.")]
    reasons: Annotated[list[Moved], Field(description="At most three, the largest first; only what raises the risk.")]


class Renewal(Person):
    """One annual subscription that renews soon."""

    renewal_at: str
    churn_probability: Chance
    churn_low: LowEnd
    churn_high: HighEnd
    churn_band: str | None


class NewAdvocate(Person):
    """One customer who speaks up since this week, or is to be thanked."""

    advocate_tier: str
    act: Annotated[str | None, Field(description="The kind of the latest act.")]
    act_at: str | None


class WaitingAsk(Person):
    """One ask without an answer."""

    ask_id: str
    kind: str | None
    asked_at: str


class Calls(BaseModel):
    """Whom to call first, by revenue at risk; ranked by rules, who is unhealthy, by what they pay."""

    ranked_by: RankedBy
    total: int
    newly_high: int
    rose: int
    high: Annotated[int, Field(description="All at high risk, whether they moved or not.")]
    no_longer_high: int
    mrr: Annotated[Money, Field(description="Revenue a month of those newly at high risk; without a week before, of "
                                            "all at high risk.")]  # fmt: skip
    customers: list[ToCall]


class Renewals(BaseModel):
    """Annual subscriptions that renew within so many days, the most likely to leave first."""

    days: int
    total: int
    in_danger: Annotated[int, Field(description="Those at high risk or to be watched.")]
    customers: list[Renewal]


class Advocates(BaseModel):
    """New advocates, or those to be thanked."""

    total: int
    customers: list[NewAdvocate]


class Waiting(BaseModel):
    """Asks without an answer, the one that waits longest first."""

    total: int
    asks: list[WaitingAsk]


class Became(BaseModel):
    """What became of those who were at high risk in the week before."""

    flagged: int
    still_high: int
    lower: int
    left: int


class Judged(BaseModel):
    """What came true of those flagged weeks ago, beside all who were scored then."""

    as_of: str
    weeks: int
    flagged: int
    precision: float
    base_rate: float | None


class LastWeek(BaseModel):
    """What was done since the week before, and what came of it."""

    since: str
    asks: int
    accepted: int
    declined: int
    ignored: int
    overrides: Annotated[int, Field(description="Health scores set by hand that stand.")]
    became: Annotated[Became | None, Field(description="Null without a week before.")]
    judged: Annotated[list[Judged], Field(description="Of the model of churn, where the outcome is final.")]


class Limit(BaseModel):
    """A limit of the guards that a figure was above of."""

    guard: str
    thing: str
    value: float
    limit: float
    meaning: str


class Run(BaseModel):
    """How the last run of `vouch score` ended on this host."""

    at: str
    outcome: Literal["done", "refused", "failed"]
    as_of: Annotated[str | None, Field(description="The week that it was about.")]
    code: Annotated[str | None, Field(description="The code of what went wrong.")]
    refused_by: list[Limit]


class WeekAnswer(Fresh):
    """Whom to call this week and why, what waits, and what came of last week's work."""

    previous_as_of: Annotated[str | None, Field(description="Null where there is one week only: nobody has moved.")]
    horizon_days: Annotated[int | None, Field(description="How far ahead the probabilities look.")]
    currency: Annotated[str | None, Field(description="Of all sums; null where none is named, or several are.")]
    populations: Annotated[dict[str, int], Field(description="Customers in each named population of the company.")]
    call_first: Calls
    renewals: Renewals
    new_advocates: Advocates
    to_thank: Advocates
    asks_waiting: Waiting
    last_week: LastWeek
    run: Annotated[Run | None, Field(description="Null where this host does not score, and of a past week.")]
    messages_given_up: Annotated[
        int, Field(description="Messages that did not arrive, by the last `vouch notify`; 0 of a past week.")
    ]


class FoundPerson(Called):
    """One customer that was found."""

    segment: str | None
    mrr: Money
    churn_status: str
    churn_probability: Chance
    churn_low: LowEnd
    churn_high: HighEnd
    churn_band: str | None


class FoundPeople(Fresh):
    """Customers found by name, account or id; an exact id first, then names that begin so, then by revenue."""

    total: int
    customers: list[FoundPerson]


class Account(BaseModel):
    """One account; who has left belongs to it no more."""

    account_id: str
    account_name: str | None
    owner: str | None
    currency: str | None
    customers: int
    silent: Annotated[int, Field(description="Customers who were not active for 28 days.")]
    high: Annotated[int, Field(description="Customers at high risk.")]
    mrr: Money
    at_risk: Annotated[float | None, Field(description="Revenue at risk a month: the sum over its customers.")]
    mean: Annotated[float | None, Field(description="Mean probability of leaving, weighted by revenue.")]
    concentration: Annotated[float | None, Field(description="Share of its revenue that its largest customer pays.")]
    most_endangered: Annotated[FoundPerson | None, Field(description="The customer with the highest probability.")]


class AccountPerson(FoundPerson):
    """One customer of an account."""

    silent_days: Annotated[float | None, Field(description="Days since the customer was last active.")]


class AccountsPage(Fresh):
    """Accounts, the most revenue at risk first."""

    total: int
    next_cursor: str | None
    accounts: list[Account]


class AccountAnswer(Account, Fresh):
    """One account with its customers, the most endangered first."""

    people: list[AccountPerson]


class OfferTo(BaseModel):
    """What a retention offer would do for one customer, as campaigns with a holdout have shown."""

    prevents: Annotated[float, Field(description="Probability of leaving that the offer takes away.")]
    churn_if_offered: Annotated[float, Field(description="Probability of leaving with the offer.")]
    cost: Annotated[float, Field(description="Mean cost of an offer so far.")]
    worth: Annotated[float | None, Field(description="Prevented, times what is still expected of the customer, less "
                                                     "the cost; null where no lifetime value is known.")]  # fmt: skip
    advice: Annotated[
        Literal["offer", "hold_out", "leave_alone", "not_shown"],
        Field(description="`hold_out`: an offer would pay, and is not made, by chance, so that what offers keep can be "
                          "seen: record the customer in the arm `control`. `leave_alone`: it costs more than it keeps. "
                          "`not_shown`: no campaign has shown that offers keep anybody; the rest is an estimate."),
    ]  # fmt: skip
    propensity: Annotated[
        float | None,
        Field(description="Probability with which the draw leaves the offer to such a customer, to be recorded with "
                          "both arms; null where nothing was drawn."),
    ]  # fmt: skip


class AtRisk(Called):
    """One row of those at risk, ranked by `value`, behind it by the probability; by rules where no model scores."""

    rank: int
    churn_status: str
    churn_probability: float | None
    churn_low: LowEnd
    churn_high: HighEnd
    before: Annotated[float | None, Field(description="The probability of the week before.")]
    change: Annotated[float | None, Field(description="How much more than the week before.")]
    renewal_at: Annotated[str | None, Field(description="The next renewal; null for who can end at any time.")]
    churn_band: str | None
    health_score: float | None
    health_band: str | None
    health_band_reason: Annotated[
        BandReasonAnswer | None, Field(description="Why the band is not that of the score; null where it is.")
    ]
    value: AtRiskMoney
    value_reason: NoValue
    offer: Annotated[OfferTo | None, Field(description="Null without a campaign that had a holdout.")]
    mrr: float | None
    reasons: list[Reason]
    segment: str | None
    region: str | None
    language: str | None
    contact_consent: Annotated[bool, Field(description="False: nobody may contact this customer.")]
    churn_model: str | None


class AtRiskPage(Fresh):
    """A page of those at risk."""

    total: int
    ranked_by: RankedBy
    sort: str
    horizon_days: Annotated[int | None, Field(description="How far ahead the probabilities look.")]
    customers: list[AtRisk]
    next_cursor: str | None

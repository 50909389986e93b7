"""Response types of the API: what is promised, and what the OpenAPI document describes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from vouch.serving.api.handlers.ask_types import AskFor, Draw, ExplorationPlan
from vouch.serving.api.handlers.health_types import BandReasonAnswer, CountingHealth, HealthBounds, HealthTold

ModelKind = Literal["lightgbm", "linear", "logistic", "mean", "rules"]
"""What scores: gradient boosted trees, lines, the mean of both, or a calibrated rule where nothing could be learned."""


class Fresh(BaseModel):
    """What all answers from a snapshot share."""

    as_of: str
    revision: int
    scored_at: str
    data_through: str | None
    is_stale: bool


class Called(BaseModel):
    """Who a customer is; all but the id null where the company does not hand it over."""

    customer_id: str
    name: str | None
    account_id: str | None
    account_name: str | None
    owner: Annotated[str | None, Field(description="Who looks after the customer.")]
    currency: Annotated[str | None, Field(description="Of all money of the customer.")]
    crm_url: Annotated[str | None, Field(description="Where the CRM has the customer.")]


class Reason(BaseModel):
    """The part of one family in a score, in log-odds, and the feature that leads it."""

    family: str
    feature: str
    value: str
    contribution: float
    words: str


class First(BaseModel):
    """What the care index asks for before an ask."""

    what: Literal["thank", "repair"]
    words: str


class Suggested(BaseModel):
    """Whether and how somebody is asked."""

    is_eligible: bool
    exclusion: str | None
    exclusion_words: str | None
    ask_for: AskFor | None
    first: First | None
    is_randomised: Annotated[bool, Field(description="By the policy's exploration, or since the kind is drawn.")]
    propensity: float | None
    resting_until: Annotated[str | None, Field(description="When the caps of asks let the customer be asked again.")]


class Candidate(Called, Suggested):
    """One row of the ranked candidates."""

    rank: int
    advocacy_status: str
    advocacy_probability: float | None
    advocacy_low: float | None
    advocacy_high: float | None
    advocacy_score: float | None
    churn_status: str
    churn_probability: float | None
    churn_low: float | None
    churn_high: float | None
    value: Annotated[float | None, Field(description="What the ask is expected to bring, times staying, times worth.")]
    advocate_tier: str
    health_score: float | None
    health_band: str
    health_band_reason: Annotated[
        BandReasonAnswer | None, Field(description="Why the band is not that of the score; null where it is.")
    ]
    nps_last: Annotated[float | None, Field(description="The latest answer to how likely they are to recommend.")]
    reasons: list[Reason]
    segment: str | None
    region: str | None
    language: str | None
    contact_consent: Annotated[bool, Field(description="False: nobody may contact this customer.")]
    advocacy_consent: Annotated[bool | None, Field(description="Null where nobody said: it counts as no.")]
    last_asked_at: str | None
    advocacy_model: str | None
    churn_model: str | None


RankedBy = Annotated[
    Literal["model", "rules"],
    Field(description="`rules`, where no model has passed the gate: tier, answer and health, or health and revenue."),
]


class Candidates(Fresh):
    """A page of candidates; `total` counts all that meet the filters."""

    total: int
    ranked_by: Annotated[
        Literal["uplift", "response", "affinity", "rules"],
        Field(description="The most that is known of anybody in the list; `ask_for` says it of each. `rules`, where no "
                          "model has passed the gate: tier, answer and health."),
    ]  # fmt: skip
    exploration: Annotated[ExplorationPlan | None, Field(description="Null for a drawn list.")]
    draw: Annotated[Draw | None, Field(description="Null for a ranked list.")]
    candidates: list[Candidate]
    next_cursor: str | None


class Within(BaseModel):
    """The probability that the outcome comes true within so many weeks."""

    weeks: int
    probability: float


class Scores(BaseModel):
    """Scores of one customer; null where the status says why.

    A further model has `status`, `probability`, `within`, `band`, `base`, `raw`, `reasons` and `model` after its name.
    """

    model_config = ConfigDict(extra="allow")

    churn_status: str | None = None
    churn_probability: float | None = None
    churn_low: float | None = None
    churn_high: float | None = None
    churn_within: Annotated[list[Within] | None, Field(description="How soon, where the model says it.")] = None
    churn_band: str | None = None
    churn_base: float | None = None
    churn_raw: float | None = None
    churn_reasons: list[Reason] | None = None
    churn_model: str | None = None
    advocacy_status: str | None = None
    advocacy_probability: float | None = None
    advocacy_low: float | None = None
    advocacy_high: float | None = None
    advocacy_within: Annotated[list[Within] | None, Field(description="How soon, where the model says it.")] = None
    advocacy_score: float | None = None
    advocacy_base: float | None = None
    advocacy_raw: float | None = None
    advocacy_reasons: list[Reason] | None = None
    advocacy_model: str | None = None


class AskTold(BaseModel):
    """One ask, whether the data know of it or it was recorded here."""

    ask_id: str
    asked_at: str
    kind: str | None
    outcome: str | None
    outcome_at: str | None
    channel: str | None
    asked_by: str | None
    note: str | None


class AskAnswer(BaseModel):
    """The ask as it stands; `is_new` is false where it stood so already."""

    ask: AskTold
    is_new: bool


class AskVersion(AskTold):
    """An ask as it stood from a moment on, and who made it so."""

    at: str
    by: str | None
    action: Literal["asked", "answered", "corrected", "withdrawn"]
    reason: str | None


class AskVersions(BaseModel):
    """All versions of an ask, the first one first."""

    versions: list[AskVersion]


class AskListed(AskTold):
    """An ask in a list, and until when its customer rests."""

    customer_id: str
    state: Literal["open", "waiting", "resting", "done"]
    exclusion: str | None
    resting_until: str | None


class AsksPage(Fresh):
    """A page of asks."""

    total: int
    counts: Annotated[dict[str, int], Field(description="How many there are in each state.")]
    asks: list[AskListed]
    next_after: int | None


class ActionTold(BaseModel):
    """What somebody did for a customer."""

    action_id: str
    customer_id: str
    kind: Literal["called", "thanked", "put_right"]
    done_at: str
    done_by: str | None
    note: str | None
    withdrawn_at: str | None


class ActionAnswer(BaseModel):
    """The action as it stands; `is_new` is false where it stood so already."""

    action: ActionTold
    is_new: bool


class ObjectionAnswer(BaseModel):
    """Whether a customer objects to being profiled, and how many do as it was recorded here."""

    customer_id: str
    objects: bool
    is_new: bool
    objections: int


class OverrideTold(BaseModel):
    """One health score that was set by hand; `set_by` is the name of the key."""

    override_id: Annotated[str | None, Field(description="Null for one that was recorded before ids were asked for.")]
    customer_id: str
    score: float
    reason: str
    set_by: str
    set_at: str
    expires_at: str
    withdrawn_at: str | None
    withdrawn_by: str | None


class Moved(BaseModel):
    """One part of what moved a raw score since the week before; the parts add up."""

    cause: str
    family: str | None
    feature: str | None
    before: str | None
    value: str | None
    contribution: float | None
    words: str | None


class Done(BaseModel):
    """Acts of one kind that a customer did unasked."""

    kind: str
    n: int
    latest_at: str


class CustomerProfile(BaseModel):
    """What the company says of a customer; null where it does not."""

    segment: str | None
    region: str | None
    country: str | None
    language: str | None
    plan: str | None
    contact_consent: bool
    advocacy_consent: Annotated[bool | None, Field(description="Null where nobody said: it counts as no.")]
    mrr: float | None


class CustomerMetrics(BaseModel):
    """Figures of one customer; null where the data do not tell them."""

    mrr: float | None
    tenure_days: float | None
    nps_last: float | None
    open_tickets: Annotated[list[str] | None, Field(description="Priorities of the tickets that are open.")]
    acts: list[Done] | None


class Earlier(BaseModel):
    """The probabilities of the snapshot before."""

    model_config = ConfigDict(extra="allow")

    as_of: str
    churn_probability: float | None
    churn_low: float | None
    churn_high: float | None
    advocacy_probability: float | None
    advocacy_low: float | None
    advocacy_high: float | None


class CustomerAnswer(Called, Fresh, Scores, Suggested, HealthBounds):
    """Everything on one customer."""

    churn_changes: list[Moved] | None
    advocacy_changes: list[Moved] | None
    changes_stale: Annotated[
        bool,
        Field(
            description="The week before was published after this one, so that nobody has worked out what moved: "
            "`vouch score --as-of AS_OF --revision` does."
        ),
    ]
    advocate_tier: str
    health_score: float | None
    health_band: str
    health_override: Annotated[OverrideTold | None, Field(description="What somebody set by hand, while it stands.")]
    health_counts: CountingHealth
    health_parts: Annotated[HealthTold | None, Field(description="Null where this host has not the week's vectors.")]
    clv_margin: float | None
    clv_margin_low: float | None
    clv_margin_high: float | None
    clv_margin_so_far: float | None
    clv_revenue: float | None
    clv_status: str | None
    clv_way: str | None
    profile: CustomerProfile
    metrics: CustomerMetrics
    asks: list[AskTold]
    last_ask: AskTold | None
    actions: Annotated[
        list[ActionTold] | None,
        Field(description="What people did for the customer, the latest last; null while the store does not answer."),
    ]
    previous: Earlier | None


class ScoredVector(Scores):
    """Scores of one vector, in the order of the request; `customer_id` as it was given."""

    customer_id: str | None


class ScoreAnswer(BaseModel):
    """Scores for what the request held, by the champions of now."""

    as_of: str | None
    broken: Annotated[
        dict[str, dict[str, int]] | None,
        Field(description="Rows and cells of the request that break the contract, by table and reason."),
    ]
    empty_own_features: Annotated[
        dict[str, list[str]] | None,
        Field(
            description="By model, the features of the company's own columns that it reads and whose table or column "
            "no row of the request names: they read as for a customer of whom nothing is known."
        ),
    ]
    models: dict[str, str | None]
    kinds: Annotated[
        dict[str, ModelKind | None],
        Field(description="What each champion is; a small company's may be a line, or a calibrated rule."),
    ]
    scores: list[ScoredVector]


class ProblemDocument(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None
    exclusion: Annotated[str | None, Field(description="Why a customer must not be asked, with `not_to_be_asked`.")] = (
        None
    )

"""Request and answer types of the reference desk: what a deal needs, who fits, where it stands, and what was won."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from vouch.serving.api.answer_types import AskTold, Called, Fresh
from vouch.serving.api.numbers import WHOLE
from vouch.serving.api.schemas import Channel, Limit, Note, Request, Text, Who

ReferenceKind = Literal["reference_call", "case_study", "testimonial", "event_talk"]
ReferenceState = Literal["requested", "asked", "accepted", "done", "withdrawn"]
STATE_WORDS = (
    "`requested`: nobody is being asked. `asked`: an advocate has not answered yet. `accepted`: one has agreed. "
    "`done`: it was held. `withdrawn`: it is needed no longer."
)
Employees = Annotated[int, Field(ge=1, le=10_000_000, description="Employees of the prospect."), WHOLE]


class ReferenceRecord(Request):
    """What a deal needs a reference for; what is left out fits everybody."""

    request_id: Annotated[Text, Field(description="Yours; the same request again is recorded once.")]
    deal: Annotated[Text, Field(description="What you call the deal: its number in the CRM, and no person's name.")]
    kind: ReferenceKind = "reference_call"
    industry: Text | None = None
    company_size: Employees | None = None
    region: Text | None = None
    language: Annotated[Text | None, Field(description="BCP 47 tag; whoever speaks another language does not fit.")] = (
        None
    )
    use_case: Text | None = None
    persona: Text | None = None
    needed_by: Annotated[AwareDatetime | None, Field(strict=False, description="By when, with its zone.")] = None
    requested_by: Who = None


class ReferenceMatch(Request):
    """Advocates for a request."""

    request_id: Text
    limit: Limit = 5


class ReferenceAsk(Request):
    """An advocate who is asked for a request."""

    request_id: Text
    ask_id: Annotated[Text, Field(description="Yours; the same ask again is recorded once.")]
    customer_id: Text
    channel: Channel | None = None
    asked_by: Who = None
    note: Note | None = None


class ReferenceClose(Request):
    """A request that is over: `done` once an advocate has accepted and it was held, `withdrawn` where not needed."""

    request_id: Text
    state: Literal["done", "withdrawn"]


class ReferenceDeal(Request):
    """What became of the deal; recorded again where it was recorded wrongly."""

    request_id: Text
    outcome: Literal["won", "lost"]


class ReferencesSearch(Request):
    """Requests by where they stand, those that are needed first first."""

    state: Annotated[list[ReferenceState], Field(max_length=5, description=f"Any of; empty for all. {STATE_WORDS}")] = (
        Field(default_factory=list)
    )
    limit: Limit = 20
    after: Annotated[int, Field(ge=0, description="`next_after` of the page before."), WHOLE] = 0


class ReferenceAsked(AskTold):
    """An ask that was made for a request."""

    customer_id: str


class Fitting(BaseModel):
    """By what a prospect and an advocate are matched; null where it is not told, or not asked for."""

    industry: str | None
    company_size: int | None
    region: str | None
    language: str | None
    use_case: str | None
    persona: str | None


class ReferenceTold(Fitting):
    """One request as it stands."""

    request_id: str
    deal: str
    kind: str
    state: Annotated[ReferenceState, Field(description=STATE_WORDS)]
    needed_by: Annotated[str | None, Field(description="By when it is needed.")]
    requested_at: str
    requested_by: str | None
    done_at: str | None
    withdrawn_at: str | None
    deal_outcome: Annotated[str | None, Field(description="`won` or `lost`; null while the deal is open.")]
    deal_at: Annotated[str | None, Field(description="When that was recorded.")]
    asked: Annotated[list[ReferenceAsked], Field(description="Who was asked for it, the latest last.")]


class ReferenceAnswer(BaseModel):
    """The request as it is now; `is_new` is false where it was so already."""

    reference: ReferenceTold
    is_new: bool


class Advocate(Called, Fitting):
    """One advocate for a request, and what the place rests on: fit times acceptance times rest."""

    rank: int
    value: Annotated[float, Field(description="Fit times acceptance times rest.")]
    fit: Annotated[float, Field(description="The weighted share of what the request names that is met, 0 to 1.")]
    acceptance: Annotated[float, Field(description="The chance to accept, by earlier answers, 0 to 1.")]
    rest: Annotated[float, Field(description="1 for who was not asked in 90 days; halved by each ask since.")]
    last_asked_at: str | None


class AdvocatesMatched(Fresh):
    """Who fits a request, is willing and rested: the first, and alternates."""

    reference: ReferenceTold
    total: int
    unused: Annotated[list[str], Field(description="What the request names and the tables of the company lack.")]
    advocates: list[Advocate]


class WinRate(BaseModel):
    """Deals that were won, of those that are decided, with the 95 % interval after Wilson."""

    won: int
    n: int
    value: Annotated[float | None, Field(description="Share, 0 to 1; null where no deal is decided.")]
    low: Annotated[float | None, Field(description="Lower end of the interval.")]
    high: Annotated[float | None, Field(description="Upper end of the interval.")]


class ReferencesPage(Fresh):
    """A page of requests, and how often deals were won with a reference and without: a comparison, and no proof."""

    total: int
    counts: Annotated[dict[str, int], Field(description="Requests by where they stand.")]
    with_reference: Annotated[WinRate, Field(description="Of requests that are done.")]
    without_reference: Annotated[WinRate, Field(description="Of requests that nobody was found for.")]
    references: list[ReferenceTold]
    next_after: int | None

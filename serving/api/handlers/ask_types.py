"""Response types of what to ask for: by what it is known what an ask brings, and what would tell it more closely."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field


class Uplift(BaseModel):
    """What asking at random for this kind of act has added to what the same customers do unasked."""

    value: float
    ci_low: float
    ci_high: float
    n: int
    unasked: float


Basis = Annotated[
    Literal["uplift", "response", "affinity"],
    Field(description="`uplift`: what asking adds, known from asks at random; `response`: who accepts, known from the "
                      "log of asks, which is no effect; `affinity`: who speaks up unasked."),
]  # fmt: skip


class AskFor(BaseModel):
    """The act with the highest expected value among those that a customer could do."""

    kind: str
    value: Annotated[float, Field(description="What the policy says that the act is worth.")]
    share: Annotated[float, Field(description="The kind's share of the customer's acts, shrunk to that of all.")]
    own_acts: int
    words: str
    uplift: Annotated[Uplift | None, Field(description="Null without at least 30 asks made at random.")]
    ranked_by: Basis
    if_asked: Annotated[float | None, Field(description="Probability to accept, by the log of asks: a response.")]
    if_not_asked: Annotated[float | None, Field(description="Probability to do it unasked in the same 28 days.")]
    adds: Annotated[float | None, Field(description="What the ask adds; null where asks at random have not shown it.")]


class ExplorationPlan(BaseModel):
    """How many asks at random are missing until what each kind adds is known to 5 points, and what would bring them."""

    share: Annotated[float, Field(description="Share of places drawn at random now; 0 is off.")]
    asks_needed: Annotated[int, Field(description="Asks at random that are missing, of all kinds together.")]
    asks_a_week: Annotated[float, Field(description="Asks that are made in a week now.")]
    proposed_share: Annotated[float | None, Field(description="Null where nothing is missing, or nobody asks.")]
    weeks: Annotated[int | None, Field(description="Weeks that the proposed share takes.")]


class Spread(BaseModel):
    """Some customers, and the mean of their latest answers (0 to 10) to how likely they are to recommend."""

    customers: int
    answered: int
    nps_mean: float | None


class Draw(BaseModel):
    """A drawn list: what goes along with each ask, and whether those asked are like everybody who may be."""

    kind: str
    disclosure: Annotated[dict[str, str], Field(description="By language. No reward may hang on what is written.")]
    eligible: Spread
    asked: Spread

"""Request types of the API: what is refused, and what the OpenAPI document describes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    StrictBool,
    StrictInt,
    model_validator,
)

from vouch.features.contract.tables import ACT_KINDS, TABLES
from vouch.features.engines import as_staged
from vouch.features.metrics.splits import SEGMENTS
from vouch.serving.api.numbers import WHOLE
from vouch.serving.asking.ranking import AT_RISK_BANDS
from vouch.serving.snapshots.schema import MODELS, NAMED, TIERS

if TYPE_CHECKING:
    from pydantic.config import JsonDict

MAX_PAGE = 200
MAX_LIST = 100
MAX_VECTORS = 1_000
MAX_ROWS = 20_000
MAX_WEEKS = 520


def defined(name: str) -> str:
    """Return the name of a model that has a definition; raises ValueError for any other."""
    if name not in MODELS:
        raise ValueError(f"Models are {', '.join(MODELS)}")
    return name


_BLANKS = " \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
Text = Annotated[
    str,
    Field(min_length=1, max_length=200, pattern=rf"^[^\x00]*[^\x00{_BLANKS}][^\x00]*$"),
    AfterValidator(as_staged),
]
"""A text as the tables hold it, however it came: composed, decomposed or padded."""
Choice = Annotated[list[Text], Field(max_length=50, description="Any of these; empty for all.")]
Band = Literal["low", "watch", "high"]
Sort = Literal["value", "probability", "change", "renewal", "mrr", "offer"]
Limit = Annotated[int, Field(ge=1, le=MAX_PAGE, description="Rows on a page."), WHOLE]
Cursor = Annotated[
    str | None, Field(max_length=1_000, description="`next_cursor` of the page before, with the same filters.")
]
AsOf = Annotated[
    Text | None,
    Field(description="ISO date or instant of a past week, by default the newest; 410 if it is gone, 404 if none was."),
]
Fields = Annotated[
    list[Text], Field(max_length=100, description="Only these fields of the answer, or of its rows; empty for all.")
]
LongText = Annotated[str, Field(max_length=20_000)]
Cell = StrictInt | FiniteFloat | StrictBool | LongText | None
Act = Literal[ACT_KINDS]  # type: ignore[valid-type]  # the names are data
Split = Literal[SEGMENTS]  # type: ignore[valid-type]  # the names are data
OUTCOMES = TABLES["asks"].columns["outcome"].values
Outcome = Literal[OUTCOMES]  # type: ignore[valid-type]  # the names are data
ModelName = Annotated[Text, AfterValidator(defined), Field(json_schema_extra={"enum": list(MODELS)})]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Value = Annotated[FiniteFloat | Text | None, Field(union_mode="left_to_right")]


class Request(BaseModel):
    """What all requests share: nothing unknown, nothing bent into another type, no value told in an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


KINDS_WANTED = (
    "Everybody who may be asked for one of these, in the order of what that ask is worth; empty for the act that is "
    "worth most with each. One that the policy calls public stands alone, and is drawn."
)


class WeekGet(Request):
    """A week: each list with so many rows at most, of all customers or of some owners'."""

    owner: Choice = []
    as_of: AsOf = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIST, description="Rows in each list."), WHOLE] = 10


class CustomersFind(Request):
    """Customers by the beginning of any word of their name, account or id, whatever its case and Unicode form."""

    text: Text
    as_of: AsOf = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIST, description="Rows at most."), WHOLE] = 20


class AccountsSearch(Request):
    """Accounts by revenue at risk, of all owners or of some, by the beginning of any word of their name or id."""

    owner: Choice = []
    text: Text | None = None
    as_of: AsOf = None
    limit: Limit = 20
    cursor: Cursor = None


class AccountGet(Request):
    """One account with its customers."""

    account_id: Text
    as_of: AsOf = None


class AdvocatesSearch(Request):
    """Candidates to be asked to speak up."""

    segment: Choice = []
    region: Choice = []
    language: Choice = []
    owner: Choice = []
    tier: Annotated[list[Literal[TIERS]], Field(max_length=len(TIERS))] = []  # type: ignore[valid-type]  # the names are data
    kind: Annotated[list[Act], Field(max_length=len(ACT_KINDS), description=KINDS_WANTED)] = []
    minimum_score: Annotated[FiniteFloat, Field(ge=0, le=100)] = 0.0
    include_ineligible: bool = False
    as_of: AsOf = None
    fields: Fields = []
    limit: Limit = 20
    cursor: Cursor = None


class AtRiskSearch(Request):
    """Customers ranked by revenue at risk."""

    segment: Choice = []
    region: Choice = []
    language: Choice = []
    owner: Choice = []
    band: Annotated[list[Band], Field(max_length=3, description="Those at risk by default; empty for all.")] = [
        *AT_RISK_BANDS
    ]
    minimum_mrr: Annotated[FiniteFloat, Field(ge=0, description="Those who pay so much a month or more.")] = 0.0
    sort: Annotated[
        Sort,
        Field(
            description="Falling; `renewal` the soonest first, `offer` by what one is worth. What has none comes last."
        ),
    ] = "value"
    as_of: AsOf = None
    fields: Fields = []
    limit: Limit = 20
    cursor: Cursor = None


class CustomerGet(Request):
    """Everything on one customer."""

    customer_id: Text
    as_of: AsOf = None
    fields: Fields = []


Note = Annotated[str, Field(max_length=2_000, description="For your people; never in a model, a metric or a log.")]
Who = Annotated[Text | None, Field(description="Who did it; by default the name of the key.")]
PastInstant = Annotated[
    AwareDatetime | None, Field(strict=False, description="When it was, with its zone; not in the future.")
]
Channel = Literal["email", "phone", "chat", "in_app", "in_person", "other"]
State = Literal["open", "waiting", "resting", "done"]
Why = Annotated[Text | None, Field(description="Kept with the versions of the ask.")]


class AskRecord(Request):
    """An ask that was made, if the policy lets it be made then."""

    ask_id: Annotated[Text, Field(description="Yours; the same ask again, with the same id, is recorded once.")]
    customer_id: Text
    kind: Act
    asked_at: PastInstant = None
    channel: Channel | None = None
    asked_by: Who = None
    note: Note | None = None


class AskOutcome(Request):
    """What came of an ask."""

    ask_id: Text
    outcome: Outcome


class AskCorrect(Request):
    """What was recorded wrongly of an ask: only the fields that are given are changed, a null takes one away."""

    ask_id: Text
    outcome: Outcome | None = None
    asked_at: PastInstant = None
    channel: Channel | None = None
    asked_by: Text | None = None
    note: Note | None = None
    reason: Why = None

    @model_validator(mode="after")
    def _changes_something(self) -> AskCorrect:
        if not self.model_fields_set - {"ask_id", "reason"}:
            raise ValueError("Give what is to be put right: outcome, asked_at, channel, asked_by or note")
        if "asked_at" in self.model_fields_set and self.asked_at is None:
            raise ValueError("An ask was made at some time: asked_at cannot be null")
        return self


class AskGet(Request):
    """One ask."""

    ask_id: Text


class AskWithdraw(Request):
    """An ask that was never made."""

    ask_id: Text
    reason: Why = None


class AsksSearch(Request):
    """Asks by where they stand, the latest first; resting ones by when the customer may be asked again."""

    state: Annotated[
        State,
        Field(
            description="`open`: asked, and not answered yet. `waiting`: not answered in the days that the policy "
            "gives, so that the answer is to be looked up. `resting`: the latest ask of each customer who may not be "
            "asked again yet. `done`: answered."
        ),
    ] = "open"
    kind: Annotated[list[Act], Field(max_length=len(ACT_KINDS), description="Any of these; empty for all.")] = []
    limit: Limit = 20
    after: Annotated[int, Field(ge=0, description="`next_after` of the page before."), WHOLE] = 0


class Vector(Request):
    """One vector: features by name, as `vouch features` writes them. What is left out is null."""

    customer_id: Text | None = None
    features: Annotated[dict[Name, Value], Field(min_length=1, max_length=2_000)]


_VECTORS_ALONE: JsonDict = {
    "required": ["vectors"],
    "properties": {"vectors": {"type": "array"}, "rows": {"type": "null"}, "as_of": {"type": "null"}},
}
_ROWS_ALONE: JsonDict = {
    "required": ["rows", "as_of"],
    "properties": {"rows": {"type": "object"}, "as_of": {"type": "string"}, "vectors": {"type": "null"}},
}
"""What the document says of either form, as the validator has it."""


class ScoreRequest(Request):
    """Vectors, or raw rows in canonical form by table, with the instant to look from."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_VECTORS_ALONE, _ROWS_ALONE]})

    vectors: Annotated[list[Vector] | None, Field(min_length=1, max_length=MAX_VECTORS, fail_fast=True)] = None
    rows: Annotated[
        dict[Text, list[dict[Text, Cell]]] | None,
        Field(
            min_length=1,
            max_length=50,
            description="By table: those of the contract with the company's further columns, and its own tables with "
            "`customer_id`, `occurred_at` and columns under the names that `vouch check` tells.",
        ),
    ] = None
    as_of: Annotated[Text | None, Field(description="Needed with rows: ISO date or instant.")] = None
    models: Annotated[list[ModelName], Field(min_length=1, max_length=len(MODELS))] = list(NAMED)
    reasons: bool = True

    @model_validator(mode="after")
    def _one_of_both(self) -> ScoreRequest:
        if (self.vectors is None) == (self.rows is None):
            raise ValueError("Give either vectors or rows")
        if (self.rows is None) != (self.as_of is None):
            raise ValueError("as_of goes with rows, and only with rows")
        if self.rows is not None and sum(map(len, self.rows.values())) > MAX_ROWS:
            raise ValueError(f"At most {MAX_ROWS} rows in one request")
        return self


class MetricsQuery(Request):
    """Metrics of the company as a whole or by segment, of one week or of several that end with it."""

    metric_ids: Annotated[list[Text], Field(max_length=200, description="Empty for all.")] = []
    by: Annotated[Split | None, Field(description="Null: as a whole.")] = None
    segment: Choice = []
    weeks: Annotated[int, Field(ge=1, le=MAX_WEEKS, description="So many published weeks, newest last."), WHOLE] = 1
    as_of: AsOf = None


class MetricsCatalogue(Request):
    """What each metric means."""

    metric_ids: Annotated[list[Text], Field(max_length=200, description="Empty for all.")] = []

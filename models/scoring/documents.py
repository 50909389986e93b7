"""The JSON documents of a bundle and of its promotion: another form is refused before anything is made of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, RootModel, StringConstraints, model_validator
from pydantic_core import from_json

from vouch.features import documents
from vouch.features.documents import (
    DIGEST,
    NAME,
    Count,
    Digest,
    Document,
    FileName,
    Form,
    Malformed,
    Name,
    Number,
    Text,
)
from vouch.features.errors import BundleError

if TYPE_CHECKING:
    from vouch.models.scoring.feature_matrix import Column

FORMAT = 2
"""The format that is written, and the newest that can be read; the first keeps one fingerprint for all features."""
VALUE_KIND = "value"
"""The kind that gives no probability but money: see `vouch.models.value.predictor`."""
KINDS = {
    "lightgbm": ("model.txt",), "logistic": ("model.json",), "rules": ("model.json",),
    "linear": ("model.json",), "mean": ("model.txt", "model.json"), VALUE_KIND: ("value.json",),
}  # fmt: skip
"""Kinds of model, and the files that hold each."""
TargetName = Annotated[
    str, StringConstraints(pattern=rf"^{NAME}(\({NAME}(\.{NAME}(=[^\x00-\x1f]{{0,200}})?)?\)[a-z0-9_]{{0,100}})?$")
]
"""The name of a target; in brackets are the rows of the company that say what came true."""


class BundleManifest(Document):
    """`manifest.json`: which kind of which model, and the digests of the files."""

    format: Annotated[int, Field(ge=1)]
    kind: Literal["lightgbm", "logistic", "linear", "rules", "mean", "value"]
    model: Name
    target: TargetName
    files: dict[FileName, Digest]
    definition_fingerprint: Text | None = None

    @model_validator(mode="after")
    def _can_be_read(self) -> BundleManifest:
        if self.format > FORMAT:
            raise ValueError(f"its format {self.format} is of a newer vouch: this one reads up to {FORMAT}")
        of_scores = {"calibrator.json", "features.json"} if self.kind != VALUE_KIND else set()
        needed = {*KINDS[self.kind], *of_scores, "golden.json"}
        if missing := needed - self.files.keys():
            raise ValueError(f"lists no {', '.join(sorted(missing))}")
        return self


class Feature(Document):
    """One feature: its name, its family, and its categories where it is one."""

    name: Name
    family: Name
    categories: list[Text] | None
    fingerprint: Text | None = None


class Features(Document):
    """`features.json`: what a model reads, in order, each once."""

    features: Annotated[list[Feature], Field(min_length=1)]

    @model_validator(mode="after")
    def _are_distinct(self) -> Features:
        for names in ([of.name for of in self.features], *(of.categories or () for of in self.features)):
            if len(set(names)) != len(names):
                raise ValueError("a feature or a category stands twice")
        return self


class Golden(Document):
    """`golden.json`: rows with the scores that they must get."""

    rows: Annotated[list[list[str | Number | None]], Field(min_length=1)]
    raw: list[Number]
    probability: list[Number]

    def fits(self, columns: tuple[Column, ...]) -> bool:
        """Whether each row has one cell per feature, a text where that is a category and a number where it is none."""
        return len(self.rows) == len(self.raw) == len(self.probability) and all(
            len(row) == len(columns)
            and all(
                cell is None or isinstance(cell, str) == (column.categories is not None)
                for cell, column in zip(row, columns, strict=True)
            )
            for row in self.rows
        )


class CalibrationBand(Document):
    """Ends of intervals."""

    raw: list[Number]
    low: list[Number]
    high: list[Number]


class Calibration(Document):
    """`calibrator.json`: the numbers of the map; which of them its method needs is for `calibration` to say."""

    method: Literal["none", "sigmoid", "isotonic", "beta", "venn_abers"]
    slope: Number = 1.0
    intercept: Number = 0.0
    left: Number = 1.0
    raw: list[Number] = Field(default_factory=list)
    probability: list[Number] = Field(default_factory=list)
    band: CalibrationBand | None = None


class Soon(Document):
    """`hazard.json`: how soon."""

    anchor_weeks: Count
    intercepts: list[Number]
    slopes: list[Number]
    due: list[Number]
    observed_weeks: Count


class OfKind(Document):
    """What is known of one kind of treatment."""

    kind: Name
    treated: Count
    at_random: Count
    offset: Number
    share: Annotated[Number, Field(ge=0, le=1)]
    base: Number
    centre: Number
    rate: Annotated[Number, Field(ge=0, le=1)]
    untreated: Number | None
    average: Number | None
    low: Number | None
    high: Number | None
    cost: Number | None


class OfQini(Document):
    """What treating the best first adds."""

    area: Number
    low: Number
    high: Number
    promised: Number
    points: list[Annotated[list[Number], Field(min_length=3, max_length=3)]]


class Counted(Document):
    """How often each bin of one column was met."""

    name: Name
    family: Name
    counts: Annotated[list[Count], Field(min_length=1)]
    edges: list[Number]
    categories: list[Text] | None

    @model_validator(mode="after")
    def _has_a_count_per_bin(self) -> Counted:
        """One per edge and one beyond, or one per category, and one for what is missing."""
        bins = len(self.edges) + 1 if self.categories is None else len(self.categories)
        if len(self.counts) != bins + 1 or sorted(set(self.edges)) != self.edges:
            raise ValueError("its counts do not fit its bins")
        return self


class Reference(Document):
    """`reference.json`: what later weeks are compared with."""

    histograms: list[Counted]


class OfCategory(Document):
    """A weight per category; the last is for what is missing or was not seen."""

    weights: Annotated[list[Number], Field(min_length=1)]
    mean: Number


class OfNumber(Document):
    """How a number is read and weighed."""

    fill: Number
    centre: Number
    scale: Annotated[Number, Field(gt=0)]
    weight: Number
    missing_weight: Number
    mean: Number


class LogisticNumbers(Document):
    """`model.json` of a logistic regression."""

    base: Number
    terms: list[OfCategory | OfNumber]

    def fits(self, columns: tuple[Column, ...]) -> bool:
        """Whether there is a term per feature, of its kind, and a weight per category and one more."""
        weights = [len(term.weights) - 1 if isinstance(term, OfCategory) else None for term in self.terms]
        return weights == [None if column.categories is None else len(column.categories) for column in columns]


class EffectNumbers(Document):
    """`effects.json`: what a treatment adds, and the line of who had none."""

    kinds: Annotated[list[OfKind], Field(min_length=1)]
    slope: Annotated[Number, Field(ge=0)]
    line: LogisticNumbers | None
    qini: OfQini | None
    is_unwanted: bool
    weights: Annotated[list[Number], Field(min_length=2, max_length=2)]
    line_slope: Number

    def fits(self, columns: tuple[Column, ...]) -> bool:
        """As for the line."""
        return self.line is None or self.line.fits(columns)


class OfPlainNumber(Document):
    """How a number, or the place of a category, is read and weighed as it is."""

    fill: Number
    centre: Number
    scale: Annotated[Number, Field(gt=0)]
    weight: Number
    mean: Number


class LinearNumbers(Document):
    """`model.json` of a linear model of one's own."""

    base: Number
    terms: list[OfPlainNumber]

    def fits(self, columns: tuple[Column, ...]) -> bool:
        """Whether there is a term per feature."""
        return len(self.terms) == len(columns)


class MeanNumbers(Document):
    """`model.json` of a mean: the line, and what the trees beside it are worth."""

    line: LogisticNumbers
    share: Annotated[Number, Field(gt=0, lt=1)]

    def fits(self, columns: tuple[Column, ...]) -> bool:
        """As for the line."""
        return self.line.fits(columns)


class OfRule(Document):
    """What one feature earns: as many points as places, or one more."""

    weight: Annotated[Number, Field(ge=0)]
    at: list[Number]
    points: Annotated[list[Number], Field(min_length=1)]

    @model_validator(mode="after")
    def _rises(self) -> OfRule:
        if len(self.points) - len(self.at) not in (0, 1) or sorted(set(self.at)) != self.at:
            raise ValueError("its points do not fit its places")
        return self


class RuleNumbers(Document):
    """`model.json` of a rule made of points."""

    base: Number
    slope: Number
    parts: list[OfRule | None]

    def fits(self, columns: tuple[Column, ...]) -> bool:
        """Whether there is a part per feature, and none for a category."""
        return len(self.parts) == len(columns) and all(
            part is None or column.categories is None for part, column in zip(self.parts, columns, strict=True)
        )


class Decision(Document):
    """One decision of the gate or of a person, as far as it is read again."""

    action: str
    at_us: Count
    version: Count | None = None
    content_hash: Digest | None = None
    reason: str | None = None
    rules: list[dict[str, Any]] = Field(default_factory=list)
    figures: list[dict[str, Any]] = Field(default_factory=list)
    members: list[str] = Field(default_factory=list)
    why: str | None = None
    calibration: list[dict[str, Any]] = Field(default_factory=list)


class Decisions(RootModel[list[Decision]]):
    """`gate.json`."""


class Begun(Document):
    """`promoting.json`: what a promotion was about to do."""

    class Entry(Decision):
        """A decision that names its bundle."""

        content_hash: Digest

    entry: Entry
    card: str


def checked_digest(text: Any) -> str:
    """Return a digest that came from elsewhere; raises BundleError where it is none, and could be any path."""
    if not isinstance(text, str) or not re.fullmatch(DIGEST, text):
        raise BundleError("A content hash has 64 hexadecimal digits, and this is none. Train the model again.")
    return text


def object_in(text: str) -> dict[str, Any]:
    """Return the object in a tag of the registry, an empty one where somebody else has written it."""
    try:
        parsed = from_json(text)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def read_bundle_document(form: type[Form], name: str, content: bytes) -> tuple[Form, Any]:
    """Return a document that has its form, and the plain data that it was read from; raises BundleError."""
    try:
        return documents.read_document(form, name, content)
    except Malformed as error:
        raise BundleError(str(error)) from error

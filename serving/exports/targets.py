"""Export targets, as data: the fields, what they are called where, and the limits of files.

The rules are those that the makers of both CRMs publish (read November 2026):

- Salesforce, Bulk API 2.0, "Prepare CSV Files" (api_asynch, datafiles_prepare_csv): UTF-8; first row names the fields,
  in up to 32,000 characters; separator and line ends as the job says; an empty cell is ignored, `#N/A` sets null; files
  of at most 100 MB, which after conversion to base64 are the 150 MB of "Limits and Allocations" (api_bulk_v2,
  bulk_api_2_limits), where also stand 32,000 characters a field, 5,000 fields and 400,000 characters a record. A text
  field that serves as external id holds 255 characters; whether `abc` and `ABC` are two is set where the field is made.
  The name of a custom field has up to 40 characters before its `__c`, starts with a letter, and has no underscore at
  its end nor two in a row.
- HubSpot, "Set up import files" (knowledge.hubspot.com): UTF-8; one header row; fewer than 1,000 columns; at most
  512 MB and 1,048,576 rows a file. An internal name of a property is lower case and starts with a letter.
- Formulas: OWASP "CSV Injection". A text that a spreadsheet would compute starts with an apostrophe here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["key", "text", "number", "whole", "flag", "as_of", "instant"]


class Target(StrEnum):
    """Who takes the files."""

    CSV = "csv"
    PARQUET = "parquet"
    SALESFORCE = "salesforce"
    HUBSPOT = "hubspot"


class Taker(StrEnum):
    """Who takes a week: one of the targets of files, or a lake, whose tables grow by a week at a time."""

    CSV = "csv"
    PARQUET = "parquet"
    SALESFORCE = "salesforce"
    HUBSPOT = "hubspot"
    DELTA = "delta"
    ICEBERG = "iceberg"


@dataclass(frozen=True)
class Field:
    """One column of an export, and what it is called where."""

    column: str
    kind: Kind
    label: str
    decimals: int = 6
    """Of a number in a CRM: so many that it moves only where something has. Parquet holds all of it."""
    is_judged: bool = True
    """Whether a row has changed where this alone has."""

    @property
    def salesforce(self) -> str:
        """The API name of the custom field."""
        return f"Vouch_{'_'.join(part.capitalize() for part in self.column.split('_'))}__c"

    @property
    def hubspot(self) -> str:
        """The internal name of the property."""
        return f"vouch_{self.column}"

    def name(self, target: Target) -> str:
        """Name of the column in files for a target."""
        return {Target.SALESFORCE: self.salesforce, Target.HUBSPOT: self.hubspot}.get(target, self.column)


FIELDS = (
    Field("customer_id", "key", "Customer id"),
    Field("as_of", "as_of", "As of", is_judged=False),
    Field("contact_consent", "flag", "May be contacted"),
    Field("advocacy_consent", "flag", "May be asked to speak up"),
    Field("ask_for", "text", "Ask for"),
    Field("can_be_asked", "flag", "Can be asked now"),
    Field("not_asked_because", "text", "Not asked because"),
    Field("not_asked_until", "instant", "Not asked until"),
    Field("ask_rank", "whole", "Rank among who can be asked", is_judged=False),
    Field("ask_value", "number", "Worth of asking", 2),
    Field("ask_ranked_by", "text", "Ask ranked by", is_judged=False),
    Field("last_asked_at", "instant", "Last asked"),
    Field("revenue_at_risk", "number", "Monthly revenue at risk", 0),
    Field("churn_status", "text", "Churn status"),
    Field("churn_probability", "number", "Probability of leaving", 2),
    Field("churn_horizon_days", "whole", "Leaving: within so many days", is_judged=False),
    Field("churn_change", "number", "Change since the week before", 2),
    Field("churn_band", "text", "Churn band"),
    Field("churn_reason", "text", "Why: leaving", is_judged=False),
    Field("advocacy_status", "text", "Advocacy status"),
    Field("advocacy_probability", "number", "Probability of speaking up", 2),
    Field("advocacy_horizon_days", "whole", "Speaking up: within so many days", is_judged=False),
    Field("advocacy_score", "number", "Advocacy score", 0),
    Field("advocacy_reason", "text", "Why: speaking up", is_judged=False),
    Field("advocate_tier", "text", "Advocate tier"),
    Field("health_score", "number", "Health score", 0),
    Field("health_band", "text", "Health band"),
    Field("health_band_reason", "text", "Why the health band differs", is_judged=False),
    Field("clv_margin", "number", "Lifetime value, margin", 2),
    Field("clv_margin_low", "number", "Lifetime value, margin, at least", 2),
    Field("clv_margin_high", "number", "Lifetime value, margin, at most", 2),
    Field("clv_revenue", "number", "Lifetime value, revenue", 2),
    Field("churn_model", "text", "Churn model", is_judged=False),
    Field("advocacy_model", "text", "Advocacy model", is_judged=False),
)


@dataclass(frozen=True)
class TargetRules:
    """What a target takes; a limit that is None is none. The row of titles counts as a row."""

    null: str = ""
    file_bytes: int | None = None
    file_rows: int | None = None
    columns: int | None = None
    text_characters: int = 32_000
    row_characters: int | None = None
    title_characters: int | None = None
    name: str = r"[a-z][a-z0-9_]*"
    name_characters: int = 100


MB = 1_000_000
RULES: Mapping[Target, TargetRules] = {
    Target.CSV: TargetRules(),
    Target.PARQUET: TargetRules(),
    Target.SALESFORCE: TargetRules(
        null="#N/A",
        file_bytes=100 * MB,
        columns=5_000,
        text_characters=255,
        row_characters=400_000,
        title_characters=32_000,
        name=r"[A-Za-z](?:_?[A-Za-z0-9])*__c",
        name_characters=40 + len("__c"),
    ),
    Target.HUBSPOT: TargetRules(file_bytes=512 * MB, file_rows=1_048_576, columns=999),
}

JOBS: Mapping[Target, Mapping[str, str]] = {
    Target.SALESFORCE: {
        "operation": "upsert",
        "externalIdFieldName": FIELDS[0].salesforce,
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    },
}
"""What the job that uploads a file must declare of it; which object it is about is the company's to say.

Only `upsert` finds a record by an external id. One that the CRM does not know lacks fields that it requires, such as a
name: it is not made, and stands among the job's failed results, while all others are written.
"""

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

Kind = Literal["key", "text", "number", "flag", "instant"]


class Target(StrEnum):
    """Who takes the files."""

    CSV = "csv"
    PARQUET = "parquet"
    SALESFORCE = "salesforce"
    HUBSPOT = "hubspot"


@dataclass(frozen=True)
class Field:
    """One column of an export, and what it is called where."""

    column: str
    kind: Kind
    salesforce: str
    hubspot: str

    def name(self, target: Target) -> str:
        """Name of the column in files for a target."""
        return {Target.SALESFORCE: self.salesforce, Target.HUBSPOT: self.hubspot}.get(target, self.column)


FIELDS = (
    Field("customer_id", "key", "External_Id__c", "external_id"),
    Field("as_of", "instant", "Vouch_As_Of__c", "vouch_as_of"),
    Field("contact_consent", "flag", "Vouch_Contact_Consent__c", "vouch_contact_consent"),
    Field("advocacy_consent", "flag", "Vouch_Advocacy_Consent__c", "vouch_advocacy_consent"),
    Field("churn_status", "text", "Vouch_Churn_Status__c", "vouch_churn_status"),
    Field("churn_probability", "number", "Vouch_Churn_Probability__c", "vouch_churn_probability"),
    Field("churn_band", "text", "Vouch_Churn_Band__c", "vouch_churn_band"),
    Field("churn_reason", "text", "Vouch_Churn_Reason__c", "vouch_churn_reason"),
    Field("advocacy_status", "text", "Vouch_Advocacy_Status__c", "vouch_advocacy_status"),
    Field("advocacy_probability", "number", "Vouch_Advocacy_Probability__c", "vouch_advocacy_probability"),
    Field("advocacy_score", "number", "Vouch_Advocacy_Score__c", "vouch_advocacy_score"),
    Field("advocacy_reason", "text", "Vouch_Advocacy_Reason__c", "vouch_advocacy_reason"),
    Field("advocate_tier", "text", "Vouch_Advocate_Tier__c", "vouch_advocate_tier"),
    Field("health_score", "number", "Vouch_Health_Score__c", "vouch_health_score"),
    Field("health_band", "text", "Vouch_Health_Band__c", "vouch_health_band"),
    Field("clv_margin", "number", "Vouch_Clv_Margin__c", "vouch_clv_margin"),
    Field("churn_model", "text", "Vouch_Churn_Model__c", "vouch_churn_model"),
    Field("advocacy_model", "text", "Vouch_Advocacy_Model__c", "vouch_advocacy_model"),
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
"""What the job that uploads a file must declare of it; which object it is about is the company's to say."""

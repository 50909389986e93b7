"""Metadata of a CRM that an admin installs before the first import: the fields of an export, in its own form.

Derived from FIELDS, so that the fields of the CRM and the columns of the files cannot differ. Salesforce: a package for
the Metadata API (`sf project deploy start --metadata-dir DIR`), one CustomField each with a label and a help text, and
a permission set that lets nobody edit what vouch writes. HubSpot: the body of `POST
/crm/v3/properties/{object}/batch/create`, and of an import request (`POST /crm/v3/imports`) that names the columns.
Both are made from what the makers publish (read November 2026), and were not tried against a real portal.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from vouch.features.durable import write_where_asked
from vouch.features.errors import UsageError
from vouch.serving.exports.targets import FIELDS, Field, Target

if TYPE_CHECKING:
    from pathlib import Path

API_VERSION = "62.0"
PERMISSIONS = "Vouch"
GROUP = "vouch"
TEXT_CHARACTERS = 255
_XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
_NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
OBJECTS = {Target.SALESFORCE: "Account", Target.HUBSPOT: "companies"}
"""Where the fields go unless another object is named: customers of a company are accounts."""
_HUBSPOT_TYPES = {
    "key": ("string", "text"),
    "text": ("string", "text"),
    "number": ("number", "number"),
    "whole": ("number", "number"),
    "flag": ("bool", "booleancheckbox"),
    "as_of": ("date", "date"),
    "instant": ("datetime", "date"),
}
_HUBSPOT_OBJECT_IDS = {"contacts": "0-1", "companies": "0-2"}


def write_metadata(target: Target, folder: Path, named: str | None = None) -> list[Path]:
    """Write the metadata of a target's fields into a folder; returns the files, in order.

    `named` is the object that holds the customers. Raises UsageError where the target has no such fields or the folder
    cannot be written to.
    """
    makers = {Target.SALESFORCE: _salesforce, Target.HUBSPOT: _hubspot}
    if target not in makers:
        raise UsageError(f"{target.value} has no fields to be installed: {', '.join(one.value for one in makers)}")
    files = makers[target](named or OBJECTS[target])
    for name, text in files.items():
        write_where_asked(folder / name, text)
    return [folder / name for name in files]


def _salesforce(named: str) -> dict[str, str]:
    if not named.replace("_", "").isalnum():
        raise UsageError(f"{named!r} cannot be the API name of an object: letters, digits and underscores")
    shown = "".join(
        f"    <fieldPermissions><editable>false</editable><field>{named}.{field.salesforce}</field>"
        "<readable>true</readable></fieldPermissions>\n"
        for field in FIELDS
    )
    members = "".join(f"        <members>{named}.{field.salesforce}</members>\n" for field in FIELDS)
    return {
        "package.xml": f'{_XML}<Package xmlns="{_NAMESPACE}">\n    <types>\n{members}        <name>CustomField</name>\n'
        f"    </types>\n    <types>\n        <members>{PERMISSIONS}</members>\n        <name>PermissionSet</name>\n"
        f"    </types>\n    <version>{API_VERSION}</version>\n</Package>\n",
        f"objects/{named}.object": f'{_XML}<CustomObject xmlns="{_NAMESPACE}">\n'
        f"{''.join(map(_custom_field, FIELDS))}</CustomObject>\n",
        f"permissionsets/{PERMISSIONS}.permissionset": f'{_XML}<PermissionSet xmlns="{_NAMESPACE}">\n{shown}'
        f"    <label>{PERMISSIONS}</label>\n</PermissionSet>\n",
    }


def _custom_field(field: Field) -> str:
    """A field of Salesforce; help says which column it is."""
    typed = {
        "key": f"<type>Text</type><length>{TEXT_CHARACTERS}</length><externalId>true</externalId><unique>true</unique>"
        "<caseSensitive>true</caseSensitive>",
        "text": f"<type>Text</type><length>{TEXT_CHARACTERS}</length>",
        "number": f"<type>Number</type><precision>18</precision><scale>{field.decimals}</scale>",
        "whole": "<type>Number</type><precision>18</precision><scale>0</scale>",
        "flag": "<type>Checkbox</type><defaultValue>false</defaultValue>",
        "as_of": "<type>Date</type>",
        "instant": "<type>DateTime</type>",
    }[field.kind]
    return (
        f"    <fields><fullName>{field.salesforce}</fullName><label>vouch: {escape(field.label)}</label>"
        f"<inlineHelpText>Written by vouch every week: {field.column}.</inlineHelpText>{typed}</fields>\n"
    )


def _hubspot(named: str) -> dict[str, str]:
    properties = [
        {
            "name": field.hubspot,
            "label": f"vouch: {field.label}",
            "groupName": GROUP,
            "type": _HUBSPOT_TYPES[field.kind][0],
            "fieldType": _HUBSPOT_TYPES[field.kind][1],
            "description": f"Written by vouch every week: {field.column}.",
            **({"hasUniqueValue": True} if field.kind == "key" else {}),
            **(
                {"options": [{"label": word.title(), "value": word} for word in ("true", "false")]}
                if field.kind == "flag"
                else {}
            ),
        }
        for field in FIELDS
    ]
    object_id = _HUBSPOT_OBJECT_IDS.get(named, named)
    columns = [
        {
            "columnObjectTypeId": object_id,
            "columnName": field.hubspot,
            "propertyName": field.hubspot,
            **({"columnType": "HUBSPOT_ALTERNATE_ID"} if field.kind == "key" else {}),
        }
        for field in FIELDS
    ]
    request = {
        "name": "vouch",
        "importOperations": {object_id: "UPDATE"},
        "dateFormat": "YEAR_MONTH_DAY",
        "files": [
            {"fileName": "FILE", "fileFormat": "CSV", "fileImportPage": {"hasHeader": True, "columnMappings": columns}}
        ],
    }
    return {
        "property-group.json": json.dumps({"name": GROUP, "label": "vouch"}, indent=2) + "\n",
        "properties.json": json.dumps({"inputs": properties}, indent=2) + "\n",
        "import-request.json": json.dumps(request, indent=2) + "\n",
    }

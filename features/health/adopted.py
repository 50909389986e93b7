"""Adopted health rules: which rules hold in a home, and the record of what was taken over, when, and on what audit.

A company's `health.toml` holds only as it was adopted. One that is not sound, was changed since or is gone stops
whoever needs it: silence would let the rules of somebody else judge a company's customers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from vouch.features.company_files import read_own
from vouch.features.documents import Count, Digest, Document, Text, read_document
from vouch.features.durable import write_whole
from vouch.features.errors import ConfigurationError
from vouch.features.health.rules import FILE, HealthRules, health_rules, read_rules, rules_of
from vouch.features.instants import instant_text

if TYPE_CHECKING:
    from pathlib import Path

RECORD = "health_adopted.json"
"""Name of the record under the home."""


class Adoption(Document):
    """One taking over: when, which rules, whether those that come with vouch, and what the audit said of them."""

    adopted_at: Text
    version: Count
    digest: Digest
    rules: dict[str, Any]
    is_shipped: bool
    audit: dict[str, Any] | None = None
    despite: Text | None = None


class AdoptionRecord(Document):
    """All of them, the newest last."""

    adoptions: list[Adoption]


def adoptions(home: Path) -> list[Adoption]:
    """Return what was adopted in a home, the newest last; raises DataError where the record is not sound."""
    path = home / RECORD
    return read_document(AdoptionRecord, str(path), path.read_bytes())[0].adoptions if path.exists() else []


def held_rules(home: Path) -> HealthRules:
    """Return the rules that were adopted last, whatever stands in the company's file by now."""
    held = adoptions(home)
    return rules_of(held[-1].rules, str(home / RECORD)) if held and not held[-1].is_shipped else health_rules()


def adopted_rules(home: Path) -> HealthRules:
    """Return the rules that hold in a home: the company's own as adopted, else those that come with vouch.

    Raises ConfigurationError where the company's file is not sound, not what was adopted, or gone.
    """
    own, held = home / FILE, adoptions(home)
    if not own.exists():
        if held and not held[-1].is_shipped:
            raise ConfigurationError(
                f"{own} is gone, and its rules (version {held[-1].version}) hold. Put it back, or take those that come "
                "with vouch: `vouch health adopt --shipped`"
            )
        return health_rules()
    rules = read_rules(read_own(own), f"{own}")
    if not held or held[-1].is_shipped or held[-1].digest != rules.digest:
        raise ConfigurationError(
            f"{own} holds rules that nobody adopted. `vouch health check` says what they change, `vouch health adopt` "
            "takes them over"
        )
    return rules


def adopt_rules(
    home: Path, text: str | None, now_us: int, audit: dict[str, Any] | None, despite: str | None
) -> HealthRules:
    """Let the rules of a text hold in a home, or with None those that come with vouch; return them.

    Raises ConfigurationError where they are not sound.
    """
    own = home / FILE
    rules = health_rules() if text is None else read_rules(text, f"{own}")
    record = Adoption(
        adopted_at=instant_text(now_us),
        version=rules.version,
        digest=rules.digest,
        rules=rules.as_dict(),
        is_shipped=text is None,
        audit=audit,
        despite=despite,
    )
    whole = AdoptionRecord(adoptions=[*adoptions(home), record])
    home.mkdir(parents=True, exist_ok=True)
    if text is None:
        own.unlink(missing_ok=True)
    else:
        write_whole(own, text)
    write_whole(home / RECORD, json.dumps(whole.model_dump(), indent=1) + "\n")  # last: it says what holds
    return rules

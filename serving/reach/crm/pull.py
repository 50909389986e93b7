"""A pull: what people recorded in a CRM of asks, objections, consents and owners, into the store.

All of it keeps the time at which the CRM says that it changed and the moment at which it came here, as every version of
an ask does. Of an objection only one that came from the same CRM ends there. What is no value of ours is counted and
left. It can be run as often as one likes: the same again changes nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from vouch.features.contract.tables import TABLES
from vouch.features.durable import as_written, sealed, write_whole
from vouch.features.engines import as_staged
from vouch.features.errors import ConfigurationError
from vouch.features.instants import microseconds
from vouch.serving.reach.crm.push import client_of
from vouch.serving.reach.destinations import FILE
from vouch.serving.store.actions import set_objection
from vouch.serving.store.asks import CONFLICT, set_outcome
from vouch.serving.store.callers import Caller
from vouch.serving.store.details import AT_ONCE, CONSENT_NAMES, GIVEN, NAMES, Detail, store_details
from vouch.serving.store.tables import objections

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vouch.serving.exports.targets import Target
    from vouch.serving.reach.destinations import Destinations, Returns
    from vouch.serving.store.connection import Database

FOLDER = "pulled"
_FORM = 1
OUTCOMES = TABLES["asks"].columns["outcome"].values or ()
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0", "")
LONGEST = 200
NOBODY = object()
"""Stands for an owner of whom the CRM tells nothing but an id."""
OVERLAP_US = 10 * 60 * 1_000_000
"""So much is read again: a CRM shows a change some time after the time that it gives it."""


@dataclass
class Pulled:
    """What came back."""

    records: int = 0
    outcomes: int = 0
    objections: int = 0
    objections_ended: int = 0
    consents: int = 0
    """Consents that were given, taken back or told for the first time."""
    owners: int = 0
    """Names and addresses of owners that are others than before."""
    conflicts: int = 0
    """Outcomes that stand otherwise here: nothing was changed."""
    unknown_asks: int = 0
    odd: int = 0
    """Values that are none of ours, and records without a customer."""
    details: list[Detail] = field(default_factory=list)
    """Those that wait to be recorded together."""

    def as_dict(self) -> dict[str, int]:
        """For a scheduler to read."""
        return {name: number for name, number in asdict(self).items() if name != "details"}


def pull(
    home: Path,
    target: Target,
    database: Database,
    settings: Destinations,
    sleep: Callable[[float], None],
    now_us: int,
) -> Pulled:
    """Take what has changed since the last pull; call it under the lock of pulls.

    Raises ConfigurationError where no fields are named, OutboundError where the CRM does not answer.
    """
    returns: Returns = getattr(settings, target.value).returns
    columns = [name for name in dict.fromkeys(returns.model_dump().values()) if name]
    if not columns or bool(returns.ask_id) != bool(returns.outcome):
        raise ConfigurationError(
            f"{FILE}: [{target.value}.returns] must name the fields of the CRM: ask_id and outcome, objection, "
            f"{', '.join(NAMES)}, or some of them"
        )
    path = home / FOLDER / f"{target.value}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    since_us = (as_written(path, _FORM) or {}).get("since_us")
    caller, done, newest = Caller(None, target.value, "write"), Pulled(), since_us
    with client_of(target, settings, sleep) as client:
        for row in client.changed(columns, None if since_us is None else since_us - OVERLAP_US):
            at_us = _instant(row.get("at"), now_us)
            done.records += 1
            _take(database, returns, row, caller, at_us, now_us, done)
            if len(done.details) >= AT_ONCE:
                _record(database, caller, now_us, done)
            newest = at_us if newest is None else max(newest, at_us)
    _record(database, caller, now_us, done)
    if newest is not None:  # once all are in: what is read twice changes nothing
        write_whole(path, sealed({"form": _FORM, "since_us": newest}))
    return done


def _take(
    database: Database, returns: Returns, row: dict[str, Any], caller: Caller, at_us: int, now_us: int, done: Pulled
) -> None:
    customer_id = row.get("customer_id")
    if not isinstance(customer_id, str) or not (customer_id := as_staged(customer_id)) or len(customer_id) > LONGEST:
        done.odd += 1
        return
    if returns.objection:
        objects = _flag(row.get(returns.objection))
        if objects is None:
            done.odd += 1
        elif objects:
            done.objections += set_objection(database, customer_id, True, caller, now_us)
        elif _stands_from(database, customer_id, caller):
            done.objections_ended += set_objection(database, customer_id, False, caller, now_us)
    done.details += _details(returns, row, customer_id, at_us, done)
    ask_id, outcome = row.get(returns.ask_id), row.get(returns.outcome)
    if not ask_id or not outcome:
        return
    if not isinstance(ask_id, str) or outcome not in OUTCOMES:
        done.odd += 1
        return
    stored = set_outcome(database, ask_id, str(outcome), caller, now_us, at_us, customer_id)
    done.outcomes += stored.is_new
    done.conflicts += stored.why == CONFLICT
    done.unknown_asks += stored.why not in (None, CONFLICT)


def _details(returns: Returns, row: dict[str, Any], customer_id: str, at_us: int, done: Pulled) -> list[Detail]:
    """The consents and owners that a record tells; what is empty there is None."""
    told = []
    for name in NAMES:
        if not (named := getattr(returns, name)):
            continue
        value = row.get(named)
        if isinstance(value, dict):  # an owner whom the CRM names by an id
            value = value.get(name, NOBODY)
        text: str | None = "" if value is None else as_staged(str(value))
        if name in CONSENT_NAMES and text:
            flag = _flag(text)
            text = None if flag is None else GIVEN if flag else "false"
        if text is None or value is NOBODY or len(text) > LONGEST:
            done.odd += 1
        else:
            told.append(Detail(customer_id, name, text or None, at_us))
    return told


def _record(database: Database, caller: Caller, now_us: int, done: Pulled) -> None:
    """Record the details that wait."""
    new = store_details(database, done.details, caller, now_us)
    done.consents += sum(new[name] for name in CONSENT_NAMES)
    done.owners += sum(number for name, number in new.items() if name not in CONSENT_NAMES)
    done.details = []


def _stands_from(database: Database, customer_id: str, caller: Caller) -> bool:
    """Whether an objection stands that came from the same CRM."""
    stands = (objections.c.customer_id == customer_id, objections.c.withdrawn_us.is_(None))
    with database.reading() as connection:
        recorded = connection.execute(select(objections.c.recorded_by).where(*stands)).scalars().all()
    return bool(recorded) and all(name == caller.name for name in recorded)


def _flag(value: object) -> bool | None:
    text = "" if value is None else str(value).strip().lower()
    return True if text in TRUE else False if text in FALSE else None


def _instant(value: object, now_us: int) -> int:
    """When a record changed, as the CRM says it; now where it says nothing that can be, or a time to come."""
    try:
        changed_at = datetime.fromisoformat(str(value))
    except ValueError:
        return now_us
    return now_us if changed_at.tzinfo is None else min(microseconds(changed_at), now_us)

"""A push: a published week into a CRM, once, whatever kills it on the way.

The week is written into files as an export writes them, kept under the home, and sent file by file; the record beside
them says how far it has come. A week of a revision that was sent is not sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vouch.features.errors import ConfigurationError, Refused
from vouch.features.instants import instant_text
from vouch.serving.exports.export import export
from vouch.serving.exports.targets import RULES, Target
from vouch.serving.reach.crm.hubspot import HubSpotClient
from vouch.serving.reach.crm.records import PushFolder, PushRecord, SentFile
from vouch.serving.reach.crm.salesforce import SalesforceClient
from vouch.serving.reach.destinations import FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from vouch.serving.exports.export import Decide
    from vouch.serving.exports.targets import TargetRules
    from vouch.serving.reach.destinations import Destinations, HubSpot, Salesforce
    from vouch.serving.snapshots.files import Snapshot

CLIENTS: Mapping[Target, type[SalesforceClient | HubSpotClient]] = {
    Target.SALESFORCE: SalesforceClient,
    Target.HUBSPOT: HubSpotClient,
}
"""The CRMs that a week can be pushed into."""


def client_of(
    target: Target, settings: Destinations, sleep: Callable[[float], None]
) -> SalesforceClient | HubSpotClient:
    """Return the client of a CRM; raises ConfigurationError where no address of it is set."""
    if not getattr(settings, target.value).url:
        raise ConfigurationError(f"Write the address of {target.value} into {FILE} of the home: [{target.value}] url")
    return CLIENTS[target](settings, sleep)


def push(
    home: Path,
    target: Target,
    snapshot: Snapshot,
    settings: Destinations,
    sleep: Callable[[float], None],
    *,
    before: Callable[[Snapshot], Snapshot | None] = lambda _: None,
    decide: Decide = lambda _: {},
    rules: TargetRules | None = None,
    objections: str = "",
    leaving: Callable[[int], None] = lambda _: None,
) -> tuple[PushRecord, bool]:
    """Send a week; returns the record, and whether anything was sent now. Call it under the lock of pushes.

    `objections` is the mark of who objects now: where it has moved, the week is prepared and sent anew, so that the CRM
    does not go on holding scores of who objects by now. `leaving` is told how many rows are about to be sent.

    Raises ConfigurationError where the CRM is not set up, Refused where a newer week was sent already, OutboundError
    where the CRM does not take it: the same call goes on then.
    """
    folder = PushFolder(home, target.value, snapshot)
    record, wanted = folder.read(), _empty_record(target, snapshot, settings, objections)
    is_same = record is not None and record.goes_with(wanted)
    if record is not None and is_same and record.is_done:
        folder.end()
        return record, False
    _refuse_older(folder)
    with client_of(target, settings, sleep) as client:
        if record is None or not is_same:
            record = _prepared(folder, target, snapshot, wanted, before, decide, rules)
        leaving(sum(file.rows - file.sent for file in record.files if not file.is_done))
        for file in record.files:
            if not file.is_done:
                client.send(folder, record, file)
    folder.end()
    return record, True


def _empty_record(target: Target, snapshot: Snapshot, settings: Destinations, objections: str) -> PushRecord:
    """The record of a push that is to begin: what goes where."""
    of: Salesforce | HubSpot = getattr(settings, target.value)
    place = f"{urlsplit(of.url).hostname}/{of.object}"
    return PushRecord(target.value, place, instant_text(snapshot.as_of_us), snapshot.revision, objections)


def _prepared(
    folder: PushFolder,
    target: Target,
    snapshot: Snapshot,
    wanted: PushRecord,
    before: Callable[[Snapshot], Snapshot | None],
    decide: Decide,
    rules: TargetRules | None,
) -> PushRecord:
    """Write the files of a week, and the record that says that they are there."""
    folder.clear()
    held = rules or RULES[target]
    done = export(snapshot, target, folder.path, before=before, decide=decide, rules=held)
    wanted.files = [SentFile(file["name"], file["sha256"], file["rows"]) for file in done.files]
    folder.write(wanted)
    return wanted


def _refuse_older(folder: PushFolder) -> None:
    """An older week must not take the place of a newer one that the CRM holds."""
    newer = [
        path.name for path in folder.path.parent.glob("*-revision-*") if _order(path.name) > _order(folder.path.name)
    ]
    if newer:
        raise Refused(f"A newer week was pushed or begun already: {max(newer, key=_order)}")


def _order(name: str) -> tuple[str, int]:
    week, _, revision = name.rpartition("-revision-")
    return week, int(revision) if revision.isdigit() else 0

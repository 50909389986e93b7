"""The inventory of `VOUCH_HOME`: each entry once, how it is searched for a customer, scrubbed, and cleaned.

Erasing, the answer to who asks what is held, and cleaning all go by this list. A part that keeps something new under
the home adds one entry here; a test holds that nothing lies there unlisted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vouch.serving.lifecycle import marks, outdated, outputs, served, tables, texts, weeks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vouch.serving.lifecycle.outdated import Cleaning, Outdated
    from vouch.serving.lifecycle.subject import Held, Subject


def _nothing(_: Subject, __: str) -> Iterator[Held]:
    yield from ()


def _leave(_: Subject, __: str) -> None:
    return


def _all_stays(_: Cleaning, __: str) -> Iterator[Outdated]:
    yield from ()


@dataclass(frozen=True)
class Holding:
    """One entry of the home: what it is, how long it stays, and what is done to it.

    `read` gives what it holds on customers, `erase` takes them out, `lets_go` gives what the policy lets go. Where
    `nobody` is set, it says why no customer stands there, and nothing is read or erased.
    """

    name: str
    meaning: str
    retention: str
    read: Callable[[Subject, str], Iterator[Held]] = _nothing
    erase: Callable[[Subject, str], None] = _leave
    lets_go: Callable[[Cleaning, str], Iterator[Outdated]] = _all_stays
    nobody: str | None = None

    @property
    def is_backed_up(self) -> bool:
        """Whether a back-up holds it: what cannot be made again, and is no log."""
        return self.erase is not tables.erase_tables and self.name not in {"locks", "logs", "demo"}


def _made_again(
    name: str, meaning: str, retention: str, lets_go: Callable[[Cleaning, str], Iterator[Outdated]] = _all_stays
) -> Holding:
    """What the next run makes again from the company's tables, and is deleted whole."""
    return Holding(name, meaning, retention, tables.read_tables, tables.erase_tables, lets_go)


_SETTINGS = "settings of the company"
HOLDINGS = (
    Holding(
        "snapshots",
        "published weeks",
        "every week, then one a month: retention.toml",
        weeks.read_weeks,
        weeks.erase_weeks,
        outdated.old_weeks,
    ),
    _made_again("staged", "tables in contract form", "the newest few: retention.toml", outdated.old_tables),
    _made_again(
        "parts",
        "single files of tables in contract form",
        "as long as anything is staged from them",
        outdated.unused_parts,
    ),
    _made_again(
        "rollups",
        "customer-days summed up for vectors",
        "as long as their rows are staged",
        outdated.unused_rollups,
    ),
    Holding(
        "sentiment",
        "models of how texts sound, learned from rated ones",
        "while the staged tables are judged by them",
        nobody="weights of hashed groups of letters, without a text",
    ),
    _made_again("quarantine", "rows that broke the contract at the last reading", "until the next reading"),
    _made_again("scratch", "work of a run", "until the run ends"),
    Holding(
        "serving",
        "the serving store, and what a service maps into memory",
        "two weeks of customers, a quarter of where they stood",
        served.read_served,
        served.erase_served,
    ),
    _made_again("recorded", "asks, overrides and details of the store as the batch reads them", "until the next run"),
    Holding(
        "runs",
        "what each run of the batch told",
        "so many days: retention.toml",
        texts.read_texts,
        texts.erase_texts,
        outdated.old_files,
    ),
    Holding(
        "logs", "log files", "so many days: retention.toml", texts.read_texts, texts.erase_texts, outdated.old_files
    ),
    Holding(
        "outputs.json",
        "where reports, exports and vectors were written to",
        "while the files are there",
        outputs.read_outputs,
        outputs.erase_outputs,
    ),
    Holding(
        "pushed",
        "what was sent into a CRM, how far it has come, and which rows it did not take",
        "so many days: retention.toml",
        texts.read_texts,
        texts.erase_texts,
        outdated.old_pushes,
    ),
    Holding("pulled", "up to when a CRM was read", "for good", nobody="instants"),
    Holding("erasure", "hashes of erased customers, their key, receipts", "for good", marks.read_marks),
    Holding(
        "champions",
        "bundles of the champions, cards, the gate's history, offsets",
        "the newest few of each",
        nobody="numbers of a model, and categories that at least five customers have in common",
    ),
    Holding(
        "mlflow",
        "the tracking database and its artifacts",
        "for good",
        nobody="figures and bundles of models, without rows of customers",
    ),
    Holding("format.json", "which release has written here", "for good", nobody=_SETTINGS),
    Holding(
        "own_features.json",
        "what was made of the company's own columns",
        "until the next reading",
        nobody="names of tables and columns",
    ),
    Holding("locks", "locks", "empty files", nobody="empty files"),
    Holding("guards.toml", "the company's own limits", "for good", nobody=_SETTINGS),
    Holding("policy.toml", "the company's own policy of asking", "for good", nobody=_SETTINGS),
    Holding("health.toml", "the company's own rules of health", "for good", nobody=_SETTINGS),
    Holding("health_adopted.json", "which rules of health were adopted, and when", "for good", nobody="rules, figures"),
    Holding("destinations.toml", "where the company lets vouch send to", "for good", nobody=_SETTINGS),
    Holding("retention.toml", "the company's own policy", "for good", nobody=_SETTINGS),
    Holding("demo", "the made-up company of the demo", "until the next demo", nobody="nobody in it exists"),
)


def unlisted(subject: Subject) -> list[str]:
    """What lies under the home and is no part of vouch: nobody knows whether it holds customers."""
    known = {holding.name for holding in HOLDINGS}
    present = subject.home.iterdir() if subject.home.is_dir() else ()
    return sorted(path.name for path in present if path.name not in known)

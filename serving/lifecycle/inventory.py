"""What lies under `VOUCH_HOME`: each entry once, whether it may hold customers, what erasing and cleaning do to it.

A part that keeps something new under the home adds one line here; a test holds that nothing lies there unlisted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OnErase = Literal["rebuilt", "snapshots", "store", "scrubbed", "outputs", "nothing"]


@dataclass(frozen=True)
class Holding:
    """One entry of the home.

    `on_erase`: `rebuilt` is deleted whole, since the next run makes it again from the company's tables; `snapshots`
    and `store` are written anew without the customer's rows; `scrubbed` are texts in which the name is struck out;
    `outputs` names files elsewhere, which are written anew too; `nothing` holds no customer.
    """

    name: str
    meaning: str
    on_erase: OnErase
    kept: str


HOLDINGS = (
    Holding("snapshots", "published weeks", "snapshots", "every week, then one a month: retention.toml"),
    Holding("staged", "tables in contract form", "rebuilt", "the newest few: retention.toml"),
    Holding("parts", "single files of tables in contract form", "rebuilt", "as long as anything is staged from them"),
    Holding("rollups", "customer-days summed up for vectors", "rebuilt", "as long as their rows are staged"),
    Holding("quarantine", "rows that broke the contract at the last reading", "rebuilt", "until the next reading"),
    Holding("scratch", "work of a run", "rebuilt", "until the run ends"),
    Holding(
        "serving",
        "the serving store, and what a service maps into memory",
        "store",
        "two weeks of customers, a quarter of where they stood",
    ),
    Holding("recorded", "asks and overrides of the store as the batch reads them", "rebuilt", "until the next run"),
    Holding("runs", "what each run of the batch told", "scrubbed", "so many days: retention.toml"),
    Holding("logs", "log files", "scrubbed", "so many days: retention.toml"),
    Holding(
        "outputs.json", "where reports, exports and vectors were written to", "outputs", "while the files are there"
    ),
    Holding("erasure", "hashes of erased customers, their key, receipts", "nothing", "for good"),
    Holding("champions", "bundles of the champions, cards, the gate's history", "nothing", "the newest few of each"),
    Holding("mlflow", "the tracking database, and artifacts without rows of customers", "nothing", "for good"),
    Holding("locks", "locks", "nothing", "empty files"),
    Holding("guards.toml", "the company's own limits", "nothing", "for good"),
    Holding("policy.toml", "the company's own policy of asking", "nothing", "for good"),
    Holding("demo", "the made-up company of the demo", "nothing", "until the next demo"),
    Holding("retention.toml", "the company's own policy", "nothing", "for good"),
)


def named(on_erase: OnErase) -> list[Holding]:
    """Entries that erasing treats alike."""
    return [holding for holding in HOLDINGS if holding.on_erase == on_erase]

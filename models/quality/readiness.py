"""Readiness: for each output whether a company's tables support it, and what is missing, with figures.

It is told before anything is trained, so that nobody waits for a list that cannot come: the tables that an outcome is
made of, the history that two of its windows need, outcomes of both kinds, and consent for the list of whom to ask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import narwhals as nw

from vouch import models
from vouch.features.contract.tables import ACTIVITY_TABLES, DAY_US
from vouch.features.errors import MissingTable
from vouch.features.facts.beginning import beginning_us
from vouch.features.facts.customers import external_customers
from vouch.models.outcomes import standing

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from vouch.features.asof import Tables
    from vouch.features.model_settings import ModelSettings
    from vouch.models.definition import Model
    from vouch.models.targets import Target

ASKING = "whom to ask to speak up"
CONSENTS = ("contact_consent", "advocacy_consent")
CODES = (
    *("no_table", "no_activity", "short_history", "long_horizon", "few_outcomes", "outcomes"),
    *("consent", "no_consent", "no_consent_column"),
)
"""All reasons that there are."""
FEWEST = 5
"""Outcomes of the rarer kind in one window from which a few years of windows hold enough."""


@dataclass(frozen=True)
class Readiness:
    """One output: whether the data support it, and why, with figures."""

    output: str
    is_ready: bool
    why: str
    code: str
    """Which of the reasons it is, one of CODES: whoever tells it in another language has it with the figures."""
    figures: Mapping[str, int | str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As `check` tells it, and a week's manifest keeps it."""
        reason = {"why": self.why, "code": self.code, "figures": dict(self.figures)}
        return {"output": self.output, "ready": self.is_ready, **reason}


def readiness(tables: Tables, known_us: int, settings: Mapping[str, ModelSettings] | None = None) -> list[Readiness]:
    """Say of each model that `all` trains, and of the list of candidates, whether the tables support it."""
    begins_us = beginning_us(tables.frames[name] for name in ACTIVITY_TABLES if name in tables)
    judged = []
    for name in models.names():
        model = models.load(name).configured((settings or {}).get(name))
        if not model.is_optional:
            judged.append(_of_model(model, tables, known_us, begins_us))
    return [*judged, _of_asking(tables, known_us)]


def _of_model(model: Model, tables: Tables, known_us: int, begins_us: int | None) -> Readiness:
    try:
        target = model.target(tables)
    except MissingTable as error:
        return Readiness(model.name, False, str(error), "no_table", {"tables": model.wanted_tables})
    if begins_us is None or begins_us >= known_us:
        return Readiness(model.name, False, "there is no activity to learn from", "no_activity")
    days = (known_us - begins_us) // DAY_US
    needed = model.cutoffs.needed_days(target)
    if days < needed:
        why = f"{days} days of activity are there, and about {needed} are needed for a horizon of {target.horizon_days}"
        figures = {"days": days, "needed": needed, "horizon": target.horizon_days}
        if days - model.cutoffs.history_days < 2 * (7 + target.gap_days):
            return Readiness(model.name, False, why, "short_history", figures)
        shorter = (days - model.cutoffs.history_days) // 2 - target.gap_days
        mend = f"; [{model.name}] horizon = {shorter} would do"
        return Readiness(model.name, False, f"{why}{mend}", "long_horizon", {**figures, "shorter": shorter})
    return _of_outcomes(model, target, tables, known_us, days)


def _of_outcomes(model: Model, target: Target, tables: Tables, known_us: int, days: int) -> Readiness:
    """Whether the newest window that is over holds outcomes of both kinds among those who were there."""
    instant = known_us - target.matured_days * DAY_US
    rows = target.label(tables, [instant], known_us, target)
    present = _present(target, tables, rows, instant, known_us)
    came, total = int(present["label"].sum()), len(present)
    window = f"in the newest {target.horizon_days} days that are over it came true for {came:,} of {total:,}"
    why = f"{days} days of activity; {window}"
    figures = {"days": days, "horizon": target.horizon_days, "came": came, "total": total}
    if min(came, total - came) < FEWEST:
        few = f"{why}: too few of {'both' if not total else 'one kind'} to learn from"
        return Readiness(model.name, False, few, "few_outcomes", figures)
    return Readiness(model.name, True, why, "outcomes", figures)


def _present(target: Target, tables: Tables, rows: pd.DataFrame, instant: int, known_us: int) -> pd.DataFrame:
    """The labelled customers who were with the company: by their latest activity, where eligibility goes by that."""
    days = getattr(target.status, "days", None)
    rows = rows.loc[rows["label"].notna()]
    if days is None:
        return rows
    since_us = instant - int(days) * DAY_US
    seen = [
        standing(tables, name, known_us)
        .filter(nw.col("own_us") >= since_us, nw.col("own_us") < instant)
        .select("customer_id")
        for name in ACTIVITY_TABLES
        if name in tables
    ]
    active = nw.concat(seen).unique().collect("pyarrow").to_native()["customer_id"].to_pylist()
    return rows.loc[rows["customer_id"].isin(active)]


def _of_asking(tables: Tables, known_us: int) -> Readiness:
    """Whether anybody may be asked at all: who has consented."""
    people = external_customers(tables, known_us)
    agreed = nw.all_horizontal(*(nw.col(name).fill_null(False) for name in CONSENTS), ignore_nulls=True)
    (row,) = (
        people.select(nw.len().alias("all"), agreed.cast(nw.Int64).sum().alias("agreed"))
        .collect("pyarrow").to_native().to_pylist()
    )  # fmt: skip
    count, total = int(row["agreed"] or 0), int(row["all"])
    if count:
        why = f"{count:,} of {total:,} customers may be contacted and asked"
        return Readiness(ASKING, True, why, "consent", {"count": count, "total": total})
    lacking = [name for name in CONSENTS if not tables.has("customers", name)]
    mend = f": map {' and '.join(f'customers.{name}' for name in lacking)}" if lacking else ""
    none = f"none of {total:,} customers has consented to be contacted and asked{mend}"
    if lacking:
        return Readiness(ASKING, False, none, "no_consent_column", {"total": total, "columns": ", ".join(lacking)})
    return Readiness(ASKING, False, none, "no_consent", {"total": total})
